"""Runs on disk for tests: real files, and the journal that a run of them leaves.

What a driver and a worker would write is written through the same ``FileJournal``, with digests
of files that are really there.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from snakemake_repro.backends.files import observe
from snakemake_repro.backends.journal import FileJournal
from snakemake_repro.logic.canonical import digest_of, digest_of_text, job_key
from snakemake_repro.records import (
    CodeSeen,
    CodeText,
    Comparator,
    Digest,
    EnvironmentKind,
    EnvironmentRecord,
    EnvironmentSeen,
    FileRecord,
    GitState,
    Host,
    HostSeen,
    JobAccepted,
    JobEnded,
    JobRecord,
    JobRejected,
    JobSpec,
    JobStatus,
    Metric,
    Origin,
    Package,
    ResourceUse,
    RunEnd,
    RunEnded,
    RunStarted,
    Source,
    Tier,
    Trial,
    WorkflowRun,
)

EPOCH = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)

HOST = Host(id="node1-1a2b", name="node1", os="Debian GNU/Linux 12", kernel="6.1", machine="x86_64")

PINNED = EnvironmentRecord(
    digest=digest_of("Environment/1", "pinned"),
    kind=EnvironmentKind.PYPI,
    pinned=True,
    name="envs/learn.yaml",
    platform="linux-x86_64",
    python="3.11.7",
    packages=(Package(name="numpy", version="2.1.0"), Package(name="xgboost", version="3.0.0")),
)

LOOSE = EnvironmentRecord(
    digest=digest_of("Environment/1", "host"),
    kind=EnvironmentKind.HOST,
    pinned=False,
    name="host",
    platform="linux-x86_64",
    python="3.11.7",
    packages=(Package(name="numpy", version="2.1.0"),),
)

CLEAN = GitState(
    commit="4e98fde0123456789abcdef0123456789abcdef0",
    tree="aa" * 20,
    url="https://example.org/lab/showers.git",
    branch="main",
)


class Recording:
    """One workflow run being written."""

    def __init__(
        self,
        root: Path,
        *,
        minutes: int = 0,
        git: GitState | None = CLEAN,
        completeness: Sequence[str] = (),
        run_id: str | None = None,
        command: Sequence[str] = ("snakemake", "--executor", "ray"),
        config: Mapping[str, object] | None = None,
        host: Host = HOST,
    ) -> None:
        """Begin a run ``minutes`` after the first one."""
        self.root = root
        self._host = host
        self.id = run_id or uuid.uuid4().hex
        self._now = EPOCH + dt.timedelta(minutes=minutes)
        self._driver = FileJournal(root, self.id, "driver")
        self._worker = FileJournal(root, self.id, "worker")
        self._seen: set[str] = set()
        started = self.now()
        run = WorkflowRun(
            id=self.id,
            name="showers",
            started=started,
            command=tuple(command),
            snakefile="workflow/Snakefile",
            executor="ray",
            sources=(Source(uri="workflow/Snakefile", role="workflow", git=git),),
            versions={"python": "3.11.7", "snakemake": "9.27.1", "ray": "2.60.0"},
            user="alice",
            config=dict(config or {}),
            host=host.id,
            experiment="showers",
            tracking_uri="sqlite:///mlflow.db",
            completeness=tuple(completeness),
        )
        self._driver.append(RunStarted(run_id=self.id, at=started, run=run), durable=False)
        self._driver.append(HostSeen(run_id=self.id, at=started, host=host), durable=False)

    @property
    def worker_file(self) -> Path:
        """The worker's journal file."""
        return self._worker.path

    @property
    def driver_file(self) -> Path:
        """The driver's journal file."""
        return self._driver.path

    def now(self) -> str:
        """Return a moment, each time a second later."""
        self._now += dt.timedelta(seconds=1)
        return self._now.isoformat(timespec="microseconds")

    def job(
        self,
        rule: str,
        *,
        reads: Sequence[str] = (),
        writes: Mapping[str, str | bytes | None] | None = None,
        wildcards: Mapping[str, str] | None = None,
        params: Sequence[tuple[str, object]] = (),
        metrics: Mapping[str, float | Sequence[float]] | None = None,
        seeds: Mapping[str, int] | None = None,
        environment: EnvironmentRecord | None = PINNED,
        origin: Origin = Origin.RAY,
        status: JobStatus = JobStatus.SUCCEEDED,
        attempt: int = 1,
        resubmission: int = 0,
        error: str | None = None,
        verdict: str | None = "accepted",
        removed: Sequence[str] = (),
        integrity: Sequence[str] = (),
        violations: Sequence[str] = (),
        kind: str = "shell",
        code: str | None = None,
        modules: Mapping[str, str] | None = None,
        config: Digest | None = None,
        command: str | None = None,
        reason: str | None = None,
        comparators: Mapping[str, Comparator] | None = None,
        threads: int = 1,
        wall_s: float = 1.5,
        trials: Sequence[Trial] = (),
    ) -> str:
        """Write outputs and the attempt that made them; return the attempt's id.

        Of ``writes``, a content of ``None`` leaves what is there. Several values of a metric are its
        steps. The ``verdict`` is ``accepted``,
        ``rejected``, ``interrupted`` or none. What is ``removed`` is gone afterwards.
        """
        started = self.now()
        inputs = tuple(self._observe(path) for path in reads)
        outputs = []
        for path, content in (writes or {}).items():
            target = self.root / path
            if content is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                text = isinstance(content, str)
                data = content.encode("utf-8", "surrogateescape") if text else content
                target.write_bytes(data)
            outputs.append(self._observe(path))
        spec = JobSpec(
            rule=rule,
            kind=kind,
            wildcards=dict(wildcards or {}),
            code=self._code(code or rule),
            modules={name: self._code(text, name) for name, text in (modules or {}).items()},
            config=config,
            command=command,
            threads=threads,
            params=tuple([name, value] for name, value in params),
            inputs=inputs,
            outputs=tuple(
                FileRecord(path=file.path, comparator=(comparators or {}).get(file.path))
                for file in outputs
            ),
            environment=None if environment is None else environment.digest,
        )
        own = origin is not Origin.RAY
        record = JobRecord(
            id=uuid.uuid4().hex,
            run_id=self.id,
            spec=spec,
            attempt=attempt,
            resubmission=resubmission,
            key=job_key(spec),
            status=status,
            origin=origin,
            tier=Tier.SNAKEMAKE if own else Tier.DIRECT,
            started=None if own else started,
            finished=None if origin is Origin.REUSED else self.now(),
            exit_code=1 if status is JobStatus.FAILED else 0,
            error=error,
            outputs=tuple(outputs) if status is JobStatus.SUCCEEDED else (),
            log=FileRecord(path=f".snakemake/ray/{rule}/{attempt}.log"),
            host=self._host.id,
            use=None
            if own
            else ResourceUse(
                wall_s=wall_s, cpu_user_s=wall_s * 0.8, cpu_system_s=0.1, max_rss_mb=180.5
            ),
            metrics=tuple(_metrics(metrics or {})),
            seeds=dict(seeds or {}),
            integrity=tuple(integrity),
            violations=tuple(violations),
            reason=reason,
            trials=tuple(trials),
        )
        if environment is not None and str(environment.digest) not in self._seen:
            self._seen.add(str(environment.digest))
            seen = EnvironmentSeen(run_id=self.id, at=started, environment=environment)
            self._worker.append(seen, durable=False)
        writer = self._driver if own else self._worker
        writer.append(JobEnded(run_id=self.id, at=self.now(), job=record), durable=False)
        self._judge(record.id, verdict, error)
        for path in removed:
            (self.root / path).unlink(missing_ok=True)
        if removed:
            entry = JobAccepted(
                run_id=self.id, at=self.now(), job_id=record.id, removed=tuple(removed)
            )
            self._driver.append(entry, durable=False)
        return record.id

    def end(self, status: str = "succeeded") -> str:
        """Write the end; return the run's id."""
        end = RunEnd(status=status, finished=self.now())
        self._driver.append(RunEnded(run_id=self.id, at=end.finished, end=end), durable=False)
        self.close()
        return self.id

    def close(self) -> None:
        """Release the files, as the death of the writers would."""
        self._driver.close()
        self._worker.close()

    def _judge(self, job_id: str, verdict: str | None, error: str | None) -> None:
        at = self.now()
        if verdict == "accepted":
            entry = JobAccepted(run_id=self.id, at=at, job_id=job_id)
            self._driver.append(entry, durable=False)
        elif verdict is not None:
            rejected = JobRejected(
                run_id=self.id,
                at=at,
                job_id=job_id,
                reason=error,
                interrupted=verdict == "interrupted",
            )
            self._driver.append(rejected, durable=False)

    def _code(self, text: str, name: str | None = None) -> Digest:
        """Write the text of code, as the driver does; return its digest."""
        digest = digest_of_text(text)
        if str(digest) not in self._seen:
            self._seen.add(str(digest))
            code = CodeText(digest=digest, text=text, name=name)
            self._driver.append(
                CodeSeen(run_id=self.id, at=self._now.isoformat(), code=code), durable=False
            )
        return digest

    def _observe(self, path: str) -> FileRecord:
        return observe(self.root / path, root=self.root)


def _metrics(metrics: Mapping[str, float | Sequence[float]]) -> Iterator[Metric]:
    for name, values in metrics.items():
        steps = values if isinstance(values, Sequence) else [values]
        for step, value in enumerate(steps):
            yield Metric(name=name, value=value, step=step)


def study(root: Path, **kwargs: object) -> str:
    """Write a small study of two runs' worth of files and its first run; return the run's id."""
    (root / "data").mkdir(parents=True)
    for element in ("p", "Fe"):
        (root / "data" / f"{element}.dat").write_text(f"showers of {element}\n")
    run = Recording(root, **kwargs)  # type: ignore[arg-type]
    for element in ("p", "Fe"):
        run.job(
            "read_run",
            wildcards={"element": element},
            reads=[f"data/{element}.dat"],
            writes={f"work/{element}.parquet": f"table of {element}\n"},
        )
    run.job(
        "features",
        reads=["work/p.parquet", "work/Fe.parquet"],
        writes={"work/features.parquet": "features\n"},
    )
    train(run, "svm", "model 1\n")
    train(run, "xgboost", "trees 1\n")
    summary(run, "svm 0.81, xgboost 0.84\n")
    return run.end()


def train(run: Recording, model: str, content: str | None, **kwargs: object) -> None:
    """Write a training and its evaluation."""
    reused = kwargs.get("origin") is Origin.REUSED
    extra = {} if reused else {"metrics": {"auc": 0.8312, "accuracy": 0.771}, "seeds": {"numpy": 1}}
    run.job(
        "train",
        wildcards={"model": model},
        reads=["work/features.parquet"],
        writes={f"results/{model}.model": content},
        params=[("seed", 1)],
        **kwargs,  # type: ignore[arg-type]
    )
    run.job(
        "evaluate",
        wildcards={"model": model},
        reads=[f"results/{model}.model", "work/features.parquet"],
        writes={f"results/{model}.json": None if reused else f"auc of {content}"},
        **extra,  # type: ignore[arg-type]
        **kwargs,  # type: ignore[arg-type]
    )


def summary(run: Recording, content: str | None) -> None:
    """Write the summary of both models."""
    run.job(
        "summary",
        reads=["results/svm.json", "results/xgboost.json"],
        writes={"results/summary.txt": content},
    )


def study_again(root: Path, **kwargs: object) -> str:
    """Write a second run after one parameter of the svm was changed."""
    run = Recording(root, minutes=60, **kwargs)  # type: ignore[arg-type]
    for element in ("p", "Fe"):
        run.job(
            "read_run",
            wildcards={"element": element},
            reads=[f"data/{element}.dat"],
            writes={f"work/{element}.parquet": None},
            origin=Origin.REUSED,
            environment=None,
        )
    run.job(
        "features",
        reads=["work/p.parquet", "work/Fe.parquet"],
        writes={"work/features.parquet": None},
        origin=Origin.REUSED,
        environment=None,
    )
    train(run, "xgboost", None, origin=Origin.REUSED, environment=None)
    train(run, "svm", "model 2\n")
    summary(run, "svm 0.82, xgboost 0.84\n")
    return run.end()


def crowd(root: Path) -> str:
    """Write a run of 2,000 jobs in seven rules, one of which failed; return its id."""
    (root / "config").mkdir()
    (root / "config" / "detector.yaml").write_text("stations: 81\n")
    run = Recording(root, command=["snakemake", "--executor", "ray", "--jobs", "64"])
    shower, hits, energy = "raw/{}.dat", "hits/{}.parquet", "energy/{}.csv"
    names = [f"{number:04}" for number in range(660)]
    for rule, before, after, wall_s in (
        ("simulate", "config/detector.yaml", shower, 40.0),
        ("find_hits", shower, hits, 12.0),
        ("reconstruct_energy", hits, energy, 25.0),
    ):
        for number, name in enumerate(names):
            run.job(
                rule,
                wildcards={"shower": name},
                reads=[before.format(name)],
                writes={after.format(name): f"{rule} {name}"},
                params=[("zenith", number % 60)],
                metrics={"hits": 40 + number * 7 % 97} if rule == "find_hits" else None,
                wall_s=wall_s + number % 9,
                command=f"{rule} --zenith {number % 60} {before.format(name)} {after.format(name)}",
            )
    run.job(
        "merge", reads=[energy.format(name) for name in names], writes={"work/all.parquet": "all"}
    )
    models = [f"depth{number}" for number in range(9)]
    for number, model in enumerate(models):
        loss = [1 / (step + number + 1) for step in range(60)]
        run.job(
            "train",
            wildcards={"model": model},
            reads=["work/all.parquet"],
            writes={f"results/{model}.model": model},
            metrics={"loss": loss, "auc": 0.8 + number / 100},
            seeds={"numpy": number},
            wall_s=90.0,
        )
        run.job(
            "plot",
            wildcards={"model": model},
            reads=[f"results/{model}.model", "work/all.parquet"],
            writes={f"results/{model}.pdf": model},
            environment=LOOSE,
        )
    run.job(
        "publish",
        reads=[f"results/{model}.model" for model in models],
        status=JobStatus.FAILED,
        verdict="rejected",
        error="exit status 1: no space left on device",
    )
    return run.end("failed")
