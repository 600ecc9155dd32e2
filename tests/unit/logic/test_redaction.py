"""Secrets do not enter the record, in whatever way they are spelled."""

from __future__ import annotations

import json
import shlex
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_repro.logic.redaction import (
    Redactor,
    guess_secrets,
    strip_credentials,
    without_receiver,
)

_SECRET = "p@ss w/rd'\"+%\\ü"
_KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n  hkiG9w0BAQEFAASC\n-----END KEY-----\n"


def test_a_secret_is_replaced_by_its_name() -> None:
    redact = Redactor({"API_TOKEN": "hunter2"})
    assert redact.text("curl -H 'X: hunter2' hunter2") == (
        "curl -H 'X: <redacted API_TOKEN>' <redacted API_TOKEN>"
    )


def test_without_secrets_text_stays_as_it_is() -> None:
    assert Redactor({}).text("echo a > b") == "echo a > b"


@pytest.mark.parametrize(
    "spelled",
    [
        pytest.param(_SECRET, id="plain"),
        pytest.param(quote(_SECRET), id="url-path"),
        pytest.param(quote(_SECRET, safe=""), id="url"),
        pytest.param(quote_plus(_SECRET), id="url-query"),
        pytest.param(json.dumps(_SECRET), id="json"),
        pytest.param(json.dumps(_SECRET, ensure_ascii=False), id="json-unicode"),
        pytest.param(shlex.quote(_SECRET), id="shell"),
        pytest.param("'" + _SECRET.replace("'", "'\\''") + "'", id="shell-by-hand"),
    ],
)
def test_a_secret_is_found_however_it_is_spelled(spelled: str) -> None:
    found = Redactor({"NAME": _SECRET}).text(f"before {spelled} after")
    assert found.strip("'\"").replace("'", "").replace('"', "") == "before <redacted NAME> after"


def test_a_key_is_found_line_by_line_in_a_diff() -> None:
    redact = Redactor({"KEY": _KEY})
    diff = "".join(f"+{line}\n" for line in _KEY.splitlines())
    assert "MIIE" not in redact.text(diff)
    assert "hkiG" not in redact.text(diff)
    assert redact.text(f"key={_KEY}end") == "key=<redacted KEY>end"


def test_of_a_secret_that_contains_another_nothing_remains() -> None:
    redact = Redactor({"SHORT": "hunter", "LONG": "hunter2"})
    assert redact.text("hunter2 hunter") == "<redacted LONG> <redacted SHORT>"


def test_the_name_of_a_secret_is_not_searched_for_secrets() -> None:
    assert Redactor({"A": "redacted", "B": "secret"}).text("secret") == "<redacted B>"


def test_values_too_short_to_be_secrets_are_left_alone() -> None:
    assert Redactor({"A": "1", "B": "yes", "C": "", "D": "      "}).text("1 yes       100") == (
        "1 yes       100"
    )


def test_nested_json_is_searched_in_keys_values_and_numbers() -> None:
    redact = Redactor({"A": "hunter2", "PIN": "12345", "RATE": "0.125"})
    assert redact.json(
        {"x": ["hunter2", {"hunter2": None}], "n": 12345, "f": 0.125, "t": True, "o": 1234}
    ) == {
        "x": ["<redacted A>", {"<redacted A>": None}],
        "n": "<redacted PIN>",
        "f": "<redacted RATE>",
        "t": True,
        "o": 1234,
    }


@given(st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4), st.text(), st.text())
def test_a_secret_never_survives(secret: str, before: str, after: str) -> None:
    text = Redactor({"N": secret}).text(before + secret + after)
    # unless what is put in its place, or around it, spells it again
    if secret not in before + "<redacted N>" + after:
        assert secret not in text


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://me:secret@example.org/x.git", "https://example.org/x.git"),
        ("https://ghp_token@example.org/x.git", "https://example.org/x.git"),
        ("https://me:p@ss@example.org/x", "https://example.org/x"),
        ("postgresql+psycopg2://u:p@db:5432/mlflow", "postgresql+psycopg2://db:5432/mlflow"),
        ("ssh://git@example.org/x.git", "ssh://git@example.org/x.git"),
        ("ssh://git:secret@example.org/x.git", "ssh://git@example.org/x.git"),
        ("git@example.org:lab/x.git", "git@example.org:lab/x.git"),
        ("https://example.org/a@b", "https://example.org/a@b"),
        ("https://example.org/x?user=me@example.org", "https://example.org/x?user=me@example.org"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
        ("/home/me/mlruns", "/home/me/mlruns"),
        ("https://e.org/x?sig=abc&y=1", "https://e.org/x?sig=<redacted>&y=1"),
        (
            "https://e.org/x?X-Amz-Credential=a%2Fb&X-Amz-Signature=c#f",
            "https://e.org/x?X-Amz-Credential=<redacted>&X-Amz-Signature=<redacted>#f",
        ),
        ("https://e.org/x?access_token=abc", "https://e.org/x?access_token=<redacted>"),
        ("https://e.org/x?design=abc", "https://e.org/x?design=abc"),
        ("--ray-tracking-uri=http://me:pw@h:5000", "--ray-tracking-uri=http://h:5000"),
        ("curl 'https://a:b@h/x' https://c:d@i", "curl 'https://h/x' https://i"),
    ],
)
def test_credentials_leave_urls(url: str, stripped: str) -> None:
    assert strip_credentials(url) == stripped
    assert Redactor({}).text(url) == stripped


def test_secrets_are_guessed_by_the_names_of_variables() -> None:
    value = "a-long-enough-value"
    secret = [
        "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "aws_access_key_id", "OPENAI_API_KEY",
        "MLFLOW_TRACKING_PASSWORD", "DB_PASSWD", "GOOGLE_APPLICATION_CREDENTIALS", "MYAPIKEY",
        "SECRET_VALUE", "SSH_KEY", "PGP_PRIVATE_KEY",
    ]  # fmt: skip
    plain = [
        "PATH", "PWD", "OLDPWD", "HOME", "SSH_AUTH_SOCK", "KEYBOARD", "TOKENIZERS_PARALLELISM",
        "MONKEY", "SECRETARY", "XAUTHORITY",
    ]  # fmt: skip
    environ = dict.fromkeys([*secret, *plain], value)
    assert set(guess_secrets(environ)) == set(secret)
    assert guess_secrets({"GITHUB_TOKEN": "short"}) == {}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", ["x", "a.", "a://", "?token", "&a=", "://u:p@"])
def test_a_text_of_any_length_takes_linear_time(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    assert Redactor({"A": "hunter2"}).text(f"{text} hunter2").endswith(" <redacted A>")


@pytest.mark.parametrize(
    "words",
    [
        ["snakemake", "--ray-notify", "https://chat.example.org/T0/B0/secret", "all"],
        ["snakemake", "--ray-notify=https://chat.example.org/T0/B0/secret", "all"],
        ["snakemake", "--ray-notif", "https://chat.example.org/T0/B0/secret", "all"],
        ["snakemake", "all", "--ray-notify"],
    ],
)
def test_whom_a_run_tells_is_not_in_its_command(words: list[str]) -> None:
    assert list(without_receiver(words)) == ["snakemake", "all"]


def test_other_flags_stay() -> None:
    words = ["snakemake", "--ray-no-record", "--notemp", "all"]
    assert list(without_receiver(words)) == words
