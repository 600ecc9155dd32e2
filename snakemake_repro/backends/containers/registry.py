"""What a registry says of an image, asked without an engine: some engines cannot ask."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from snakemake_repro.backends.containers.refusals import advice, cause
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError
from snakemake_repro.logic.images import ImageName, platform_of
from snakemake_repro.logic.redaction import strip_credentials
from snakemake_repro.records import Digest

_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_TIMEOUT_S = 60
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_ATTESTATION = "unknown"
"""Platform of what is no image, but says something of one."""


class _RefusedError(Exception):
    """The registry does not answer as asked; the message says how."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """Credentials for a registry."""

    user: str
    password: str


def platforms(image: ImageName) -> Mapping[str, Digest]:
    """Return the digest that a tag means now, platform by platform.

    Nothing is pulled. Credentials are those of ``docker login`` or ``podman login``. As with
    Docker, only a registry on the loopback interface is asked without encryption.

    Raises:
        EnvironmentSpecError: The name does not say which registry has it, or that one does not
            have it, refuses, or does not answer.
    """
    import requests

    what = f"the container {image.text} cannot be locked"
    if image.host is None:
        raise EnvironmentSpecError(
            f"{what}: its name does not say which registry has it, and this engine may ask any",
            hint="Name the registry: docker://HOST/NAME:TAG.",
        )
    try:
        with contextlib.closing(_Registry(image)) as registry:
            return registry.platforms()
    except _RefusedError as exc:
        said = str(exc)
        raise EnvironmentSpecError(f"{what}: {said}", hint=advice(said)) from exc
    except requests.RequestException as exc:
        said = f"the registry {image.host} does not answer ({cause(exc)})"
        raise EnvironmentSpecError(f"{what}: {said}", hint=advice(said)) from exc


def login(image: ImageName) -> Login | None:
    """Return the credentials for an image's registry from where users keep them.

    Raises:
        EnvironmentBuildError: They cannot be read.
    """
    from docker import auth

    try:
        return _login(auth.resolve_repository_name(image.repository)[0])
    except _RefusedError as exc:
        raise EnvironmentBuildError(str(exc)) from exc


def is_loopback(netloc: str) -> bool:
    """Tell whether a host, maybe with a port, is this machine's own."""
    host = urlsplit(f"//{netloc}").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Registry:
    """A connection to the registry of one image."""

    def __init__(self, image: ImageName) -> None:
        import requests
        from docker import auth

        self._index, name = auth.resolve_repository_name(image.repository)
        hub = self._index == auth.INDEX_NAME
        self._name = f"library/{name}" if hub and "/" not in name else name
        self._tag = image.tag
        host = urlsplit(auth.INDEX_URL).netloc if hub else self._index
        self._scheme = "http" if is_loopback(host) else "https"
        self._root = f"{self._scheme}://{host}/v2/{self._name}"
        self._authorise: Any = lambda request: request  # none, not even from ~/.netrc
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(host)  # no proxy leads there

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def platforms(self) -> Mapping[str, Digest]:
        """Return the digest of the tag, by platform."""
        answer = self._ask(f"manifests/{self._tag}", accept=(*_INDEXES, *_MANIFESTS))
        digest = Digest(algorithm="sha256", value=hashlib.sha256(answer.content).hexdigest())
        found = _json(answer)
        kind = found.get("mediaType") or answer.headers.get("Content-Type", "").partition(";")[0]
        if kind in _INDEXES:
            named = [one.get("platform") or {} for one in found["manifests"]]
            named = [one for one in named if one.get("os") != _ATTESTATION]
            return {platform_of(one): digest for one in named}
        if kind not in _MANIFESTS:
            raise _RefusedError(f"its manifest is of a kind that nothing here knows ({kind})")
        config = _json(self._ask(f"blobs/{found['config']['digest']}"))
        return {platform_of(config): digest}

    def _ask(self, path: str, *, accept: tuple[str, ...] = ("*/*",)) -> Any:
        answer = self._get(path, accept)
        challenge = answer.headers.get("WWW-Authenticate", "")
        if answer.status_code == _UNAUTHORIZED and challenge:
            self._authorise = self._answer(challenge)
            answer = self._get(path, accept)
        if not answer.ok:
            raise _RefusedError(_said(answer))
        return answer

    def _get(self, path: str, accept: tuple[str, ...]) -> Any:
        return self._session.get(
            f"{self._root}/{path}",
            headers={"Accept": ", ".join(accept)},
            auth=self._authorise,
            timeout=_TIMEOUT_S,
        )

    def _answer(self, challenge: str) -> Any:
        """Return what makes a request an authorised one."""
        from requests.auth import HTTPBasicAuth

        kind, _, rest = challenge.partition(" ")
        login = _login(self._index)
        basic = None if login is None else HTTPBasicAuth(login.user, login.password)
        if kind.lower() != "bearer":
            return basic or self._authorise
        asked = dict(_CHALLENGE.findall(rest))
        realm = asked.get("realm", "")
        if urlsplit(realm).scheme != "https" and not is_loopback(urlsplit(realm).netloc):
            raise _RefusedError(f"it wants credentials sent to {strip_credentials(realm)!r}")
        query = {name: asked[name] for name in ("service", "scope") if name in asked}
        answer = self._session.get(
            realm, params=query, auth=basic or self._authorise, timeout=_TIMEOUT_S
        )
        if not answer.ok:
            raise _RefusedError(_said(answer))
        found = _json(answer)
        return _Bearer(str(found.get("token") or found.get("access_token") or ""))


@dataclasses.dataclass(frozen=True, slots=True)
class _Bearer:
    """Adds a token to a request, as `requests` wants it."""

    token: str

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _login(registry: str) -> Login | None:
    """Return the first credentials for a registry in the files where users keep them."""
    from docker import auth, errors

    for path in _config_files():
        try:
            config = auth.load_config(config_path=path)
            found = auth.resolve_authconfig(config, registry) or {}
        except errors.DockerException as exc:
            raise _RefusedError(f"the credentials for {registry} cannot be read: {exc}") from exc
        user = found.get("username") or found.get("Username")
        if user:
            password = found.get("password") or found.get("Password")
            return Login(user=str(user), password=str(password or ""))
    return None


def _config_files() -> Iterator[str | None]:
    """Yield Podman's files (containers-auth.json(5)), and ``None`` for Docker's own."""
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        yield named
    places = [os.environ.get("XDG_RUNTIME_DIR"), os.environ.get("XDG_CONFIG_HOME")]
    for place in (*places, Path.home() / ".config"):
        if place and (path := Path(place, "containers", "auth.json")).is_file():
            yield str(path)
    yield None


def _json(answer: Any) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _RefusedError("it answers with something that is no JSON object")
    return found


def _said(answer: Any) -> str:
    """Return a registry's own words."""
    try:
        errors = answer.json().get("errors") or []
        said = "; ".join(str(error.get("message") or error.get("code")) for error in errors)
    except (ValueError, AttributeError):
        said = ""
    refused = answer.status_code in (_UNAUTHORIZED, _FORBIDDEN)
    text = said or f"{answer.status_code} {answer.reason}"
    return strip_credentials(f"unauthorized: {text}" if refused else text)
