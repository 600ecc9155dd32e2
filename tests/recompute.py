"""Recompute, without this product, all that a tracking server says of a run.

    python tests/recompute.py TRACKING_URI RUN_ID WORKDIR

Needs MLflow's client, git and the standard library; what it does is written in
docs/reference/record.md. Prints how many values it recomputed, and each that is another one;
exits with 1 then.
"""

from __future__ import annotations

import collections
import gzip
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

DATASET_DIGITS = 36
_HASH = re.compile(r"sha256:[0-9a-f]{64}")

Finding = tuple[str, object, object]
"""What was recomputed, as MLflow says it, as it is."""


def recompute(uri: str, run_id: str, workdir: Path) -> tuple[int, list[str]]:
    """Return how many values were recomputed, and those that are not as MLflow says."""
    client = MlflowClient(tracking_uri=uri)
    parent, children = _runs(client, run_id)
    record = _Record(_lines(client, parent.info.run_id))
    count = 0
    wrong = []
    for what, said, found in (
        *_sources(record, parent, workdir),
        *_environments(record, workdir),
        *_codes(record, workdir),
        *(finding for job in record.jobs for finding in _job(record, job, workdir)),
        *_children(record, children),
    ):
        count += 1
        if said != found:
            wrong.append(f"{what}: MLflow says {said}, found {found}")
    return count, wrong


class _Record:
    """The lines of one run, sorted by what they speak of."""

    def __init__(self, lines: Sequence[Mapping[str, Any]]) -> None:
        data = collections.defaultdict(list)
        for line in lines:
            data[line["kind"]].append(line["data"])
        [self.run] = [one["run"] for one in data["run-started"]]
        self.jobs = [one["job"] for one in data["job-ended"]]
        self.accepted = {one["job_id"]: one for one in data["job-accepted"]}
        self.codes = [one["code"] for one in data["code"]]
        self.environments = {
            one["environment"]["digest"]: one["environment"] for one in data["environment"]
        }

    def outputs(self, job: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Yield the outputs of a job that are there when the run is over."""
        verdict = self.accepted.get(job["id"], {})
        files = {file["path"]: file for file in job.get("outputs", ())}
        files |= {file["path"]: file for file in verdict.get("outputs", ())}
        yield from (f for path, f in files.items() if path not in verdict.get("removed", ()))


def _runs(client: MlflowClient, run_id: str) -> tuple[Any, list[Any]]:
    found, token = [], None
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    while True:
        page = client.search_runs(
            experiments, f"tags.`repro.run_id` = '{run_id}'", max_results=1000, page_token=token
        )
        found += page
        token = page.token
        if not token:
            break
    [parent] = [run for run in found if run.data.tags["repro.kind"] == "workflow"]
    return parent, [run for run in found if run.data.tags["repro.kind"] == "job"]


def _lines(client: MlflowClient, mlflow_run: str) -> list[Mapping[str, Any]]:
    lines = []
    with tempfile.TemporaryDirectory() as directory:
        for part in sorted(item.path for item in client.list_artifacts(mlflow_run, "lineage")):
            path = Path(client.download_artifacts(mlflow_run, part, directory))
            lines += [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    return lines


# -- what is recomputed ------------------------------------------------------------------------


def _sources(record: _Record, parent: Any, workdir: Path) -> Iterator[Finding]:
    git = record.run["sources"][0]["git"]
    commit = git["commit"]
    yield "commit", commit, _git(workdir, "rev-parse", f"{commit}^{{commit}}").strip()
    yield "tree", git["tree"], _git(workdir, "rev-parse", f"{commit}^{{tree}}").strip()
    yield "commit's tag", parent.data.tags["mlflow.source.git.commit"], commit
    yield "tree's tag", parent.data.tags["repro.git.tree"], git["tree"]
    diff = git.get("diff")
    if diff is not None:
        yield "diff", git["diff_digest"], _sha256(diff.encode())
    config = record.run.get("config")
    if config is not None:
        yield "configuration", record.run["config_digest"], _tagged("Config/1", config)


def _environments(record: _Record, workdir: Path) -> Iterator[Finding]:
    for environment in record.environments.values():
        name, lock = environment["name"], environment["lock"]
        # wrappers are named by their place among installed packages, wherever those are
        places = (base / lock["path"] for base in (workdir, *map(Path, sys.path)))
        path = next(place for place in places if place.exists())
        text = path.read_text()
        yield f"{name}: lock", lock["digest"], _sha256(path.read_bytes())
        if environment["kind"] != "pypi":
            continue
        packages = environment["packages"]
        hashes = {digest for package in packages for digest in package["digests"]}
        yield f"{name}: hashes beyond the lock", set(), hashes - set(_HASH.findall(text))
        content = [
            platform.python_implementation(),
            environment["python"],
            sysconfig.get_config_var("SOABI"),
            environment["platform"],
            [[p["name"], p["version"], p["digests"]] for p in packages],
        ]
        yield name, environment["digest"], _tagged("PypiEnvironment/1", content)
        interpreter = Path(os.path.realpath(sys.executable))
        yield f"{name}: interpreter", environment["interpreter"], _file(interpreter)


def _codes(record: _Record, workdir: Path) -> Iterator[Finding]:
    commit = record.run["sources"][0]["git"]["commit"]
    known = set(_git(workdir, "ls-tree", "-r", "--name-only", commit).splitlines())
    for code in record.codes:
        yield f"code {code.get('name')}", code["digest"], _sha256(code["text"].encode())
    committed = {
        _sha256(_git(workdir, "show", f"{commit}:{name}").encode())
        for name in known
        if name.endswith(".py")
    }
    scripts = {job["spec"]["code"] for job in record.jobs if job["spec"]["kind"] == "script"}
    yield "scripts that are not committed", set(), scripts - committed


def _job(record: _Record, job: Mapping[str, Any], workdir: Path) -> Iterator[Finding]:
    spec = job["spec"]
    name = f"{spec['rule']} {spec.get('wildcards', {})}"
    inputs, outputs = spec.get("inputs", ()), spec.get("outputs", ())
    identity = {key: value for key, value in spec.items() if key != "source_name"}
    identity["inputs"] = [
        [f.get("name"), f["path"], f.get("kind", "file"), f.get("digest")] for f in inputs
    ]
    identity["outputs"] = [[f.get("name"), f["path"]] for f in outputs]
    yield f"{name}: key", job["key"], _tagged("JobSpec/1", identity)
    yield f"{name}: known environment", True, spec["environment"] in record.environments
    for file in (*inputs, *record.outputs(job)):
        path = workdir / file["path"]
        if path.exists():  # temp() files are gone
            yield f"{name}: {file['path']}", file["digest"], _content(path)
    log = job.get("log")
    if log is not None:
        yield f"{name}: log", log["digest"], _content(workdir / log["path"])


def _children(record: _Record, children: Sequence[Any]) -> Iterator[Finding]:
    shown = {run.data.tags["repro.attempt_id"]: run for run in children}
    yield "attempts", {job["id"] for job in record.jobs}, set(shown)
    for job in record.jobs:
        tags, spec = shown[job["id"]].data.tags, job["spec"]
        name = f"{spec['rule']} {spec.get('wildcards', {})} in MLflow"
        yield f"{name}: key", tags["repro.job_key"], job["key"]
        yield f"{name}: environment", tags["repro.environment.digest"], spec["environment"]
        yield (
            f"{name}: commit",
            tags["mlflow.source.git.commit"],
            record.run["sources"][0]["git"]["commit"],
        )
        inputs = shown[job["id"]].inputs.dataset_inputs
        said = {
            (
                _tag(one, "mlflow.data.context"),
                one.dataset.name,
                _tag(one, "sha256"),
            ): one.dataset.digest
            for one in inputs
        }
        files = [("input", file) for file in spec.get("inputs", ())]
        files += [("output", file) for file in job.get("outputs", ())]
        found = {}
        for context, file in files:
            digest = file["digest"].removeprefix("sha256:")
            found[context, file["path"], digest] = digest[:DATASET_DIGITS]
            if context == "output":
                tag = tags.get(f"repro.sha256.{digest[:DATASET_DIGITS]}")
                same = [f["path"] for _, f in files if f.get("digest") == file["digest"]]
                yield f"{name}: tag of {file['path']}", True, tag in same
        yield f"{name}: datasets", said, found


# -- how -----------------------------------------------------------------------------------------


def _tag(dataset: Any, key: str) -> str:
    return str(next(tag.value for tag in dataset.tags if tag.key == key))


def _git(workdir: Path, *args: str) -> str:
    return subprocess.run(
        ["git", *args], cwd=workdir, check=True, capture_output=True, text=True
    ).stdout


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _tagged(tag: str, data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return _sha256(tag.encode() + b"\0" + text.encode())


def _content(path: Path) -> str:
    return _directory(path) if path.is_dir() else _file(path)


def _file(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _directory(path: Path) -> str:
    rows: list[list[str]] = []
    for below in sorted(path.iterdir(), key=os.fsencode):
        name = below.name
        if name == ".snakemake_timestamp":
            continue
        if below.is_symlink():
            rows.append([name, "link", str(below.readlink())])
        elif below.is_dir():
            rows.append([name, "directory", _directory(below)])
        else:
            rows.append([name, "file", _file(below)])
    return _tagged("Directory/1", rows)


def main() -> int:
    """Recompute one run; return the exit status."""
    uri, run_id, workdir = sys.argv[1:]
    count, wrong = recompute(uri, run_id, Path(workdir))
    print(f"{count:,} values recomputed, {len(wrong)} of them otherwise")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
