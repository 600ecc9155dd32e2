"""Files from the network, or from a directory, with patience for servers that falter."""

from __future__ import annotations

import base64
import hashlib
import http
import http.client
import ssl
import urllib.error
import urllib.request
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.wrappers.problems import WrapperError

ATTEMPTS = 5
LONGEST_WAIT_S = 20.0
"""Before another attempt; the first wait is short, each is twice as long as the one before."""

_SCHEMES = ("https", "http", "file")
_TIMEOUT_S = 60.0
_CHUNK = 1 << 20
_PASSING = (
    http.HTTPStatus.REQUEST_TIMEOUT,
    http.HTTPStatus.TOO_EARLY,
    http.HTTPStatus.TOO_MANY_REQUESTS,
    http.HTTPStatus.INTERNAL_SERVER_ERROR,
    http.HTTPStatus.BAD_GATEWAY,
    http.HTTPStatus.SERVICE_UNAVAILABLE,
    http.HTTPStatus.GATEWAY_TIMEOUT,
)
_MISSING = (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE)


class MissingError(WrapperError):
    """There is nothing at the place that a URL names."""


class _Passing(Exception):  # noqa: N818 - it is caught here, and becomes an error at last
    """An attempt failed in a way that may not last."""


def download(url: str, target: IO[bytes], *, accept: str = "*/*") -> str:
    """Write what a URL names to a file, and return its SHA-256 in hexadecimal digits.

    Args:
        url: With ``https``, ``http`` or ``file``; proxies are those of the environment variables.
        target: An empty file; another attempt begins it anew.
        accept: Kinds of content that are understood.

    Raises:
        MissingError: It is not there.
        WrapperError: It cannot be had, or not within a few attempts.
        OSError: The file cannot be written.
    """
    from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt
    from tenacity.wait import wait_exponential

    shown = strip_credentials(url)
    if urlsplit(url).scheme not in _SCHEMES:
        raise WrapperError(f"{shown}: expected a URL with one of {', '.join(_SCHEMES)}")
    retrying = Retrying(
        retry=retry_if_exception_type(_Passing),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(multiplier=0.5, max=LONGEST_WAIT_S),
    )
    try:
        return str(retrying(_attempt, url, shown, target, accept))
    except RetryError as exc:
        raise WrapperError(
            f"{shown}: expected a file, got {exc.last_attempt.exception()} in each of {ATTEMPTS} "
            "attempts",
            hint="check the network, and the proxy that the environment names",
        ) from exc


def _attempt(url: str, shown: str, target: IO[bytes], accept: str) -> str:
    target.seek(0)
    target.truncate()
    sha256, length = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(_request(url, accept), timeout=_TIMEOUT_S) as answer:  # noqa: S310
            announced = answer.headers.get("Content-Length")
            while chunk := answer.read(_CHUNK):
                sha256.update(chunk)
                length += len(chunk)
                target.write(chunk)
    except urllib.error.HTTPError as exc:
        reason = f"status {exc.code} ({exc.reason})"
        exc.close()
        if exc.code in _PASSING:
            raise _Passing(reason) from exc
        kind = MissingError if exc.code in _MISSING else WrapperError
        raise kind(f"{shown}: expected a file, got {reason}") from exc
    except urllib.error.URLError as exc:
        if urlsplit(url).scheme == "file":
            raise MissingError(f"{shown}: expected a file, got: {exc.reason}") from exc
        if isinstance(exc.reason, ssl.SSLCertVerificationError):
            raise WrapperError(
                f"{shown}: expected a server with a certificate to trust, got: {exc.reason}",
                hint="SSL_CERT_FILE names a file with authorities of your own",
            ) from exc
        raise _Passing(str(exc.reason)) from exc
    except (http.client.HTTPException, ConnectionError, TimeoutError) as exc:
        raise _Passing(f"a broken answer ({exc!r})") from exc
    if announced is not None and length != int(announced):
        raise _Passing(f"{length} of {announced} bytes")
    return sha256.hexdigest()


def _request(url: str, accept: str) -> urllib.request.Request:
    """Return a request, with the credentials of the URL where HTTP has them."""
    parts = urlsplit(url)
    headers = {"Accept": accept, "User-Agent": "snakemake-repro"}
    if parts.username is None or parts.scheme == "file":
        return urllib.request.Request(url, headers=headers)  # noqa: S310 - the scheme is checked
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return urllib.request.Request(bare, headers=headers)  # noqa: S310 - likewise
