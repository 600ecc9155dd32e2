"""The logger plugin satisfies Snakemake's contract and costs nothing until it is asked for."""

from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import snakemake.api  # noqa: F401 - before its `workflow`, which cannot be imported first
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from snakemake_logger_plugin_repro import LogHandler, LogHandlerSettings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no trace of events without a run, neither in the repository nor in the logger."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger("snakemake.logging"), "filters", [])


class TestSnakemakesOwnSuite(TestLogHandlerBase):  # type: ignore[misc] # the base class is untyped
    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandlerBase]:
        return LogHandler

    def get_log_handler_settings(self) -> LogHandlerSettings:
        return LogHandlerSettings()


def _handler(*, dryrun: bool = False) -> LogHandler:
    common = MockOutputSettings()
    common.dryrun = dryrun
    return LogHandler(common_settings=common, settings=None)


def _record(event: str, **fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("snakemake.logging", logging.INFO, "x", 1, "text", (), None)
    vars(record).update(event=event, **fields)
    return record


def test_snakemake_finds_it_with_its_settings() -> None:
    registry = LoggerPluginRegistry()
    plugin = registry.get_plugin("repro")
    assert plugin.log_handler is LogHandler
    assert plugin.settings_cls is LogHandlerSettings
    assert plugin.cli_prefix == "logger-repro"


def test_every_setting_has_help_and_a_default() -> None:
    for field in dataclasses.fields(LogHandlerSettings):
        assert field.metadata["help"], field.name
        assert field.default is not dataclasses.MISSING, field.name


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import snakemake_interface_logger_plugins.base, sys, json; before = set(sys.modules); "
        "import snakemake_logger_plugin_repro; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["snakemake_logger_plugin_repro"]


def test_where_no_workflow_runs_it_says_so_once_and_lets_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a Snakemake that ran in this process before left its workflow and its logger behind
    monkeypatch.delattr("snakemake.workflow.workflow", raising=False)
    logger = logging.getLogger("snakemake.logging")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "filters", [])
    handler = _handler()
    with caplog.at_level(logging.WARNING, logger="snakemake.logging"):
        handler.emit(_record("workflow_started"))
        for _ in range(3):
            handler.emit(_record("run_info", stats={}))
        handler.close()
    [warning] = caplog.records
    assert "(--logger repro) is incomplete: cannot find the workflow" in warning.getMessage()
    assert "Hint: " in warning.getMessage()
    assert not (tmp_path / ".repro" / "journal").exists()


def test_an_event_of_an_unknown_shape_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    handler = _handler()
    logger = logging.getLogger("snakemake.logging")
    with caplog.at_level(logging.WARNING, logger="snakemake.logging"):
        logger.warning("x", extra={"event": "job_finished"})
        logger.warning("y", extra={"event": "job_finished"})
    handler.close()
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("x") == 1, "every event passes"
    [complaint] = [message for message in messages if "incomplete" in message]
    assert complaint.endswith("KeyError: 'job_id'")


def test_a_dry_run_is_not_looked_at(tmp_path: Path) -> None:
    handler = _handler(dryrun=True)
    handler.emit(_record("workflow_started"))
    handler.emit(_record("run_info", stats={}))
    handler.close()
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_snakemakes_logger_as_it_was() -> None:
    logger = logging.getLogger("snakemake.logging")
    before = list(logger.filters)
    handler = _handler()
    assert logger.filters != before
    handler.close()
    handler.close()
    assert logger.filters == before
