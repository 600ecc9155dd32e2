"""The command line of Apptainer, and the variables that a job gets through it."""

from __future__ import annotations

import csv
from typing import Any

from snakemake_repro.logic.apptainer import command_line, process_environment
from snakemake_repro.logic.containers import Bind, ContainerJob


def _job(**fields: Any) -> ContainerJob:
    found = {"binds": (), "variables": {}, **fields}
    return ContainerJob(
        image="x@sha256:1", command=("sh", "-c", "true"), workdir="/w", user="1:1", cpus=1, **found
    )


def _line(**fields: Any) -> list[str]:
    return command_line("/bin/apptainer", "/store/x.sif", _job(**fields))


def test_nothing_of_the_host_is_seen_but_what_is_bound() -> None:
    line = _line(binds=(Bind(source="/w", target="/w", read_only=False),))
    assert line[:2] == ["/bin/apptainer", "exec"]
    image = line.index("/store/x.sif")
    options = line[2:image]
    assert {"--containall", "--cleanenv", "--no-home", "--no-privs", "--no-eval"} <= set(options)
    assert options[options.index("--pwd") + 1] == "/w"
    assert options[options.index("--mount") + 1] == "type=bind,source=/w,destination=/w"
    assert line[image + 1 :] == ["sh", "-c", "true"]
    assert not {"--net", "--nv", "--hostname"} & set(options)


def test_paths_may_have_colons_commas_and_quotes() -> None:
    odd = '/a,b:c"d'
    line = _line(binds=(Bind(source=odd, target=odd),))
    [fields] = csv.reader([line[line.index("--mount") + 1]])
    assert fields == ["type=bind", f"source={odd}", f"destination={odd}", "ro"]


def test_a_closed_network_is_asked_for() -> None:
    line = _line(network="none", hostname="job")
    assert line[line.index("--net") + 1 : line.index("--net") + 3] == ["--network", "none"]
    assert line[line.index("--hostname") + 1] == "job"


def test_variables_are_in_no_argument_but_the_home_directory() -> None:
    job = {"variables": {"TOKEN": "secret", "HOME": "/s/home"}}
    line = _line(**job)
    assert "secret" not in " ".join(line)
    assert line[line.index("/store/x.sif") + 1 :][-5:] == ["sh", "/s/home", "sh", "-c", "true"]
    base = {"PATH": "/bin", "APPTAINERENV_LEAK": "x", "SINGULARITYENV_LEAK": "x"}
    assert process_environment(_job(**job), base) == {
        "PATH": "/bin",
        "APPTAINERENV_TOKEN": "secret",
        "SINGULARITYENV_TOKEN": "secret",
    }


def test_a_job_with_gpus_is_told_which_are_its_own() -> None:
    assert "--nv" in _line(gpus=("1", "3"))
    found = process_environment(_job(gpus=("1", "3")), {})
    assert found["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == "1,3"
