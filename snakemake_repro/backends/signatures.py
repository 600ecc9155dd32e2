"""Signatures of statements, made and checked with keys in PEM files (DSSE)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from snakemake_repro.errors import RecordError, StorageError, UsageError, VerificationError
from snakemake_repro.logic.attestations import PAYLOAD, pre_authentication
from snakemake_repro.records import Json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import (
        EllipticCurvePrivateKey,
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    _Private: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey
    _Public: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey

_KINDS = "an Ed25519 key, or one of the curves P-256, P-384 and P-521"
_MAKE = "`openssl genpkey -algorithm ed25519 -out KEY.pem` makes a key, "
_PUBLIC = "`openssl pkey -in KEY.pem -pubout -out PUB.pem` the public one that belongs to it."


class Signer:
    """Signs with a private key."""

    def __init__(self, path: Path) -> None:
        """Read the key.

        Raises:
            UsageError: It is none that can sign.
            StorageError: The file cannot be read.
        """
        self._key = _private(path)
        self._id = _key_id(self._key.public_key())

    def sign(self, payload: bytes) -> dict[str, Json]:
        """Return an envelope with a statement and its signature."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

        text = pre_authentication(payload)
        if isinstance(self._key, EllipticCurvePrivateKey):
            signature = self._key.sign(text, ECDSA(_hash(self._key.curve.key_size)))
        else:
            signature = self._key.sign(text)
        return {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD,
            "signatures": [{"keyid": self._id, "sig": base64.b64encode(signature).decode()}],
        }


class Verifier:
    """Checks signatures with a public key."""

    def __init__(self, path: Path) -> None:
        """Read the key.

        Raises:
            UsageError: It is none that can check a signature.
            StorageError: The file cannot be read.
        """
        self._key = _public(path)
        self._path = path

    def open(self, envelope: Mapping[str, Json]) -> dict[str, Json]:
        """Return the statement in an envelope that is signed with the key.

        Raises:
            RecordError: It is no envelope with a statement.
            VerificationError: No signature on it was made with the key.
        """
        try:
            payload = base64.b64decode(envelope["payload"], validate=True)
            kind = envelope["payloadType"]
            signatures = [
                base64.b64decode(one["sig"], validate=True) for one in envelope["signatures"]
            ]
        except (KeyError, TypeError, binascii.Error) as exc:
            raise RecordError(f"not an envelope with a signed statement: {exc}") from exc
        if kind != PAYLOAD:
            raise RecordError(f"expected an envelope with {PAYLOAD}, got {kind!r}")
        if not any(self._made(signature, payload) for signature in signatures):
            raise VerificationError(
                f"the signature is not valid: it was not made with the key of {self._path}, or "
                "what it signs was changed"
            )
        try:
            statement = json.loads(payload)
        except ValueError as exc:
            raise RecordError(f"what is signed is no statement: {exc}") from exc
        if not isinstance(statement, dict):
            raise RecordError("what is signed is no statement: expected an object")
        return statement

    def _made(self, signature: bytes, payload: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey

        text = pre_authentication(payload)
        try:
            if isinstance(self._key, EllipticCurvePublicKey):
                self._key.verify(signature, text, ECDSA(_hash(self._key.curve.key_size)))
            else:
                self._key.verify(signature, text)
        except InvalidSignature:
            return False
        return True


def _hash(bits: int) -> HashAlgorithm:
    """Return the hash that goes with a curve."""
    from cryptography.hazmat.primitives import hashes

    known: dict[int, HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384()}
    return known.get(bits, hashes.SHA512())


def _private(path: Path) -> _Private:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path), password=None)
    except TypeError as exc:
        raise UsageError(
            f"the key in {path} is encrypted, expected one without a passphrase",
            hint="`openssl pkey -in KEY.pem -out PLAIN.pem` takes the passphrase off.",
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise UsageError(
            f"{path} holds no private key in PEM form", hint=f"{_MAKE}{_PUBLIC}"
        ) from exc
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise UsageError(
            f"the key in {path} cannot be used, expected {_KINDS}", hint=_MAKE + _PUBLIC
        )
    return key


def _public(path: Path) -> _Public:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise UsageError(f"{path} holds no public key in PEM form", hint=_PUBLIC) from exc
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise UsageError(f"the key in {path} cannot be used, expected {_KINDS}")
    return key


def _key_id(key: _Public) -> str:
    """Return a name for a key: the SHA-256 of what X.509 calls its public key info."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise StorageError(f"cannot read the key {path}: {exc.strerror}") from exc
