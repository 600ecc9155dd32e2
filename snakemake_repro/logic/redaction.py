"""Secrets kept out of what is recorded: values of secret variables, credentials in URLs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from snakemake_repro.logic.commandline import without
from snakemake_repro.records import Json

MIN_LENGTH = 4
"""Shorter values are left alone: they keep no secret, and replacing every ``1`` or ``on`` in a
record would destroy it and tell the value to whoever compares."""

_MIN_LINE = 8
_MIN_GUESSED = 8
_NAMED_SECRET = re.compile(
    r"APIKEY(?:_|$)|(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|PWD|CREDENTIALS?|"
    r"(?:API|ACCESS|PRIVATE|SECRET|AUTH|ENCRYPTION|SIGNING|ACCOUNT|SAS|SSH|GPG)_?KEY)(?:_|$)",
    re.IGNORECASE,
)
_MARK = "<redacted "
_NOT_SECRET = frozenset(("PWD", "OLDPWD"))
# lengths are bounded, so that a text of any length takes linear time
_USERINFO = re.compile(
    r"(?<![A-Za-z0-9])(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30})://(?P<user>[^\s/?#'\"<>]*)@"
)
_QUERY = re.compile(
    r"(?P<key>[?&](?:[\w.-]{0,64}(?:token|secret|password|passwd|signature|credential|api_?key|"
    r"access_?key)[\w.-]{0,64}|sig)=)[^&\s#'\"<>]+",
    re.IGNORECASE,
)
_NOTIFY = "--ray-not"
"""As far as an abbreviation of it means nothing else."""
_LOGIN_SCHEMES = ("ssh", "git+ssh", "ssh+git", "sftp", "rsync")


def strip_credentials(url: str) -> str:
    """Return a URL, or a text with URLs in it, without user information and secret parameters.

    The login name of an ``ssh:`` URL stays, its password goes; so does the value of a query
    parameter whose name says that it is a secret (``token``, ``X-Amz-Signature``, ``sig``).
    """
    return _QUERY.sub(r"\g<key><redacted>", _USERINFO.sub(_without_user, url))


def guess_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables whose names say that they hold a secret.

    For recording without the workflow's own declaration (``envvars:``) at hand. A guess: neither
    is everything it returns a secret, nor is every secret among it.
    """
    return {
        name: value
        for name, value in environ.items()
        if len(value) >= _MIN_GUESSED
        and name.upper() not in _NOT_SECRET
        and _NAMED_SECRET.search(name)
    }


def is_redacted(text: str) -> bool:
    """Tell whether the value of a secret variable was taken out of a text."""
    return _MARK in text


class Redactor:
    """Replaces the values of secret variables by ``<redacted NAME>``.

    A value is found as it is, and as URLs, JSON strings and quoted shell words spell it; of a
    value of several lines also each line of some length, because a diff takes lines apart. Values
    shorter than ``MIN_LENGTH`` are left alone. What a program made of a secret, such as a hash or
    its base64 form, is not found.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Prepare for these variables, given with their values."""
        names: dict[str, str] = {}
        for name, value in sorted(secrets.items()):
            for spelling in _spellings(value):
                names.setdefault(spelling, name)
        self._names = names
        # longest first: of a secret that contains another one nothing must remain
        found = sorted(names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, found))) if found else None

    def text(self, text: str) -> str:
        """Return the text without secrets and without credentials in URLs."""
        if self._pattern is not None:
            text = self._pattern.sub(self._mark, text)
        return strip_credentials(text)

    def json(self, data: Json) -> Json:
        """Return JSON data without secrets, in keys and values; a number may be one, too."""
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, Mapping):
            return {self.text(str(key)): self.json(item) for key, item in data.items()}
        if isinstance(data, list | tuple):
            return [self.json(item) for item in data]
        if isinstance(data, int | float) and not isinstance(data, bool):
            name = self._names.get(json.dumps(data))
            return data if name is None else f"{_MARK}{name}>"
        return data

    def _mark(self, match: re.Match[str]) -> str:
        return f"{_MARK}{self._names[match.group()]}>"


def _spellings(value: str) -> set[str]:
    found = set()
    lines = [line.strip() for line in value.splitlines()]
    parts = [value, value.strip(), *(line for line in lines if len(line) >= _MIN_LINE)]
    for part in parts:
        if len(part.strip()) < MIN_LENGTH:
            continue
        found |= {
            part,
            quote(part, safe=""),
            quote_plus(part, safe=""),
            quote(part),
            json.dumps(part)[1:-1],
            json.dumps(part, ensure_ascii=False)[1:-1],
            part.replace("'", "'\"'\"'"),
            part.replace("'", "'\\''"),
        }
    return found


def _without_user(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"].partition(":")[0]
    keeps = scheme.lower() in _LOGIN_SCHEMES and user
    return f"{scheme}://{user}@" if keeps else f"{scheme}://"


def without_receiver(words: Iterable[str]) -> Iterator[str]:
    """Return a command line without ``--ray-notify``: the address of a webhook is a password."""
    return without(words, lambda option: option.startswith(_NOTIFY))
