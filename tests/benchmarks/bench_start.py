"""Start-up costs: ``repro --help``, and what the plugin adds to Snakemake's own imports.

python tests/benchmarks/bench_start.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time


def _median_ms(*command: str, repeats: int = 11) -> float:
    values = []
    for _ in range(repeats):
        started = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        values.append(1000 * (time.monotonic() - started))
    return statistics.median(values)


def main() -> None:
    """Run the benchmark."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as installations are
    python = sys.executable
    bare = _median_ms(python, "-c", "pass")
    help_ms = _median_ms(python, "-m", "snakemake_repro.cli", "--help")
    print(f"python -c pass                    {bare:7.1f} ms")
    print(f"repro --help                      {help_ms:7.1f} ms (ratio {help_ms / bare:.1f})")
    script = (
        "import time, snakemake_interface_executor_plugins.executors.real\n"
        "started = time.perf_counter()\n"
        "import snakemake_executor_plugin_ray\n"
        "print(1000 * (time.perf_counter() - started))"
    )
    values = [
        float(subprocess.run([python, "-c", script], check=True, capture_output=True).stdout)
        for _ in range(11)
    ]
    print(f"the plugin beyond Snakemake's own {statistics.median(values):7.1f} ms")


if __name__ == "__main__":
    main()
