"""`repro --help` is quick because nothing heavy is imported before it is needed."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import pytest

HEAVY = (
    "rich", "networkx", "mlflow", "ray", "snakemake", "git", "docker", "uv", "yaml", "numpy",
    "pandas", "sqlite3", "snakemake_repro.records", "snakemake_repro.operations",
    "snakemake_repro.backends",
)  # fmt: skip


@pytest.mark.parametrize("args", [["--help"], ["report", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code = (
        "import sys\n"
        "from snakemake_repro.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        f"finally:\n    print('heavy:', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


def _median_s(*command: str) -> float:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def test_help_takes_less_than_150_ms_beyond_a_bare_interpreter() -> None:
    bare = _median_s("-c", "pass")
    full = _median_s("-m", "snakemake_repro.cli", "--help")
    # the promise is 150 ms in all; other work on a shared machine slows both
    assert full - bare < max(0.150, 8 * bare)
