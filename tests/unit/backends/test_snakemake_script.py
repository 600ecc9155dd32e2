"""What a script knows of its job is what the executor would record of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from snakemake.iocontainers import (
    InputFiles,
    Log,
    OutputFiles,
    Params,
    ResourceList,
    Snakemake,
    Wildcards,
)

from snakemake_repro.backends.snakemake_run import config_digest
from snakemake_repro.backends.snakemake_script import Script, resources_of, spec_of
from snakemake_repro.errors import StorageError
from snakemake_repro.logic.redaction import Redactor
from snakemake_repro.records import Digest, FileKind, FileRecord, JobSpec

_PREAMBLE = (
    "######## snakemake preamble start (automatically inserted, do not edit) ########\n"
    "import sys; x = 1;\n"
    "######## snakemake preamble end #########\n"
)


def _digest(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())


def _snakemake(**changes: Any) -> Snakemake:
    output = OutputFiles(toclone=["out/model.bin", "a.png", "b.png"])
    output._set_name("model", 0)
    output._set_name("plots", 1, end=3)
    values: dict[str, Any] = {
        "input_": InputFiles(fromdict={"data": "in.csv"}),
        "output": output,
        "params": Params(fromdict={"lr": 0.1, "token": "hunter2"}),
        "wildcards": Wildcards(fromdict={"model": "svm"}),
        "threads": 4,
        "resources": ResourceList(
            fromdict={"mem_mb": 100, "mem_mib": 96, "tmpdir": "/tmp", "_cores": 4, "_nodes": 1}
        ),
        "log": Log(),
        "config": {"seed": 1},
        "rulename": "train",
        "bench_iteration": None,
    }
    return Snakemake(**{**values, **changes})


def test_a_job_is_described_with_names_and_without_secrets(tmp_path: Path) -> None:
    script = Script(path=Path("/lab/wrapper.py"), code=_digest(b"x"))
    redact = Redactor({"TOKEN": "hunter2"})
    assert spec_of(_snakemake(), script, root=tmp_path, redact=redact) == JobSpec(
        rule="train",
        kind="wrapper",
        wildcards={"model": "svm"},
        code=_digest(b"x"),
        params=(["lr", 0.1], ["token", "<redacted TOKEN>"]),
        inputs=(FileRecord(path="in.csv", name="data", kind=FileKind.UNOBSERVED),),
        outputs=(
            FileRecord(path="out/model.bin", name="model", kind=FileKind.UNOBSERVED),
            FileRecord(path="a.png", name="plots", kind=FileKind.UNOBSERVED),
            FileRecord(path="b.png", name="plots", kind=FileKind.UNOBSERVED),
        ),
        config=config_digest({"seed": 1}),
        threads=4,
        source_name="wrapper.py",
    )


def test_paths_are_named_as_in_every_record(tmp_path: Path) -> None:
    files = InputFiles(toclone=[str(tmp_path / "a"), "/elsewhere/b", "./c/../d"])
    spec = spec_of(_snakemake(input_=files), Script(), root=tmp_path, redact=Redactor({}))
    assert [file.path for file in spec.inputs] == ["a", "/elsewhere/b", "d"]
    assert spec.kind == "notebook"


def test_resources_are_those_that_the_author_asked_for() -> None:
    assert resources_of(_snakemake()) == {"mem_mb": 100}


def test_the_code_of_a_script_is_its_authors_file(tmp_path: Path) -> None:
    original, copy = tmp_path / "fit.py", tmp_path / "tmp.fit.py"
    original.write_text("fit()\n")
    copy.write_text(_PREAMBLE + "fit()\n")
    found = Script.of({"__file__": str(original), "__real_file__": str(copy)})
    assert found == Script(path=original, code=_digest(b"fit()\n"))
    assert found.name == "fit.py"


def test_a_script_edited_while_it_waited_is_recorded_as_it_runs(tmp_path: Path) -> None:
    original, copy = tmp_path / "fit.py", tmp_path / "tmp.fit.py"
    original.write_text("edited()\n")
    copy.write_text(_PREAMBLE + "fit()\n")
    found = Script.of({"__file__": str(original), "__real_file__": str(copy)})
    assert found.code == _digest(b"fit()\n")


def test_a_wrapper_from_the_network_is_recorded_as_it_runs(tmp_path: Path) -> None:
    copy = tmp_path / "tmp.wrapper.py"
    copy.write_text(_PREAMBLE + "fit()\n")
    url = "https://example.org/v1/wrapper.py"
    found = Script.of({"__file__": url, "__real_file__": str(copy)})
    assert (found.code, found.name) == (_digest(b"fit()\n"), "wrapper.py")


def test_line_ends_of_another_system_do_not_change_the_code(tmp_path: Path) -> None:
    original, copy = tmp_path / "fit.py", tmp_path / "tmp.fit.py"
    original.write_bytes(b"fit()\r\n")
    copy.write_text(_PREAMBLE + "fit()\n")
    found = Script.of({"__file__": str(original), "__real_file__": str(copy)})
    assert found.code == _digest(b"fit()\r\n")


def test_a_plain_script_is_its_file_and_an_interactive_session_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "fit.py"
    path.write_text("fit()\n")
    assert Script.of({"__file__": str(path), "__real_file__": None}).code == _digest(b"fit()\n")
    assert Script.of({"__file__": None, "__real_file__": None}) == Script()
    assert Script().name is None


def test_a_script_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(StorageError, match="cannot read the script /proc/self/mem"):
        Script.of({"__file__": "/proc/self/mem"})


def test_modules_beside_the_script_belong_to_its_code(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import helper, json\n")
    (tmp_path / "helper.py").write_text("x = 1\n")
    script = Script.of({"__file__": str(tmp_path / "train.py")})
    spec = spec_of(_snakemake(), script, root=tmp_path, redact=Redactor({}))
    assert spec.modules == {"helper.py": _digest(b"x = 1\n")}
