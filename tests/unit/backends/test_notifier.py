"""Whoever waits for a run is told of its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from webhooks import webhook

from snakemake_repro.backends.notifier import Notifier
from snakemake_repro.errors import NotificationError, UsageError

MESSAGE = {"run": "abc", "status": "failed", "jobs": 3, "text": "it failed; rm -rf / $(id)"}


def _program(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_webhook_gets_json() -> None:
    with webhook("/T0/secret") as hook:
        Notifier(hook.url).send(MESSAGE, seconds=5)
        assert hook.messages == [("/T0/secret", MESSAGE)]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_is_named_without_its_path(status: int) -> None:
    with webhook("/T0/secret") as hook:
        hook.status = status
        with pytest.raises(NotificationError) as caught:
            Notifier(hook.url).send(MESSAGE, seconds=5)
    assert caught.value.message == f"127.0.0.1 answered with status {status}"


def test_a_webhook_that_is_not_there_is_named_without_its_path() -> None:
    with webhook("/T0/secret") as hook:
        url = hook.url
    with pytest.raises(NotificationError) as caught:
        Notifier(url).send(MESSAGE, seconds=5)
    assert caught.value.message == "127.0.0.1 did not answer (ConnectionError)"


def test_a_program_gets_json_and_variables_and_no_shell_reads_anything(tmp_path: Path) -> None:
    program = _program(
        tmp_path / "tell", f'echo "$1 $REPRO_STATUS" > {tmp_path}/said; cat >> {tmp_path}/said'
    )
    Notifier(f"{program} '$(id); x'").send(MESSAGE, seconds=5)
    first, rest = (tmp_path / "said").read_text().split("\n", 1)
    assert first == "$(id); x failed"
    assert json.loads(rest) == MESSAGE


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo no such user >&2; exit 3", "tell ended with status 3: no such user"),
        ("exit 1", "tell ended with status 1"),
        ("sleep 5", "tell did not end within 0.2 s"),
    ],
)
def test_a_program_that_fails_says_why(tmp_path: Path, body: str, message: str) -> None:
    program = _program(tmp_path / "tell", body)
    with pytest.raises(NotificationError) as caught:
        Notifier(str(program)).send(MESSAGE, seconds=0.2 if "sleep" in body else 5)
    assert caught.value.message == f"{tmp_path}/{message}"


def test_the_desktop_is_told_through_notify_send(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _program(tmp_path / "notify-send", f'printf "%s\\n" "$@" > {tmp_path}/said')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    Notifier("desktop").send(MESSAGE, seconds=5)
    assert (tmp_path / "said").read_text() == f"Snakemake\n{MESSAGE['text']}\n"


@pytest.mark.parametrize("receiver", ["no-such-program x", "", "'"])
def test_a_receiver_that_cannot_be_meant_is_refused(receiver: str) -> None:
    with pytest.raises(UsageError, match="--ray-notify"):
        Notifier(receiver)


def test_a_desktop_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError) as caught:
        Notifier("desktop")
    assert "notify-send" in caught.value.message
