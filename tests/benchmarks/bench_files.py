"""Digests: a large file against ``openssl``, and 100,000 files that nobody touched.

    python tests/benchmarks/bench_files.py [--gib 4] [--files 100000]

The baseline of the large file is what ``openssl speed`` says of SHA-256 on one core, in blocks of
16 KiB in memory, taken just before and just after. The file is read from the page cache. The small
files stand in directories of a thousand, each of them a recorded output; ``repro verify --quick``
compares them with their record, and is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from recordings import Recording

from snakemake_repro.backends.files import hash_file, observe
from snakemake_repro.backends.journal import cache_file
from snakemake_repro.backends.statcache import StatCache

_MIB = 1 << 20
_PER_DIRECTORY = 1000
_OLD_S = 0.1
"""Files must be older than the time stamps are coarse before their digests are kept."""


def _openssl() -> float:
    """Return MiB per second."""
    command = ["openssl", "speed", "-seconds", "2", "-bytes", "16384", "sha256"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (thousands,) = re.findall(r"^sha256\s+([\d.]+)k", done.stdout, re.MULTILINE)
    return float(thousands) * 1000 / _MIB


def _large(root: Path, gib: int) -> None:
    path = root / "large.bin"
    block = os.urandom(_MIB)
    with path.open("wb") as file:
        for _ in range(1024 * gib):
            file.write(block)
    ours, theirs = [], [_openssl()]
    for _ in range(3):
        started = time.monotonic()
        _, size = hash_file(path)
        ours.append(size / _MIB / (time.monotonic() - started))
        theirs.append(_openssl())
    path.unlink()
    rate, baseline = statistics.median(ours), statistics.median(theirs)
    print(
        f"{gib} GiB file {rate:8.0f} MiB/s, openssl {baseline:.0f} MiB/s: "
        f"ratio {rate / baseline:.2f}"
    )


def _many(root: Path, count: int) -> None:
    run = Recording(root)
    for start in range(0, count, _PER_DIRECTORY):
        numbers = range(start, min(start + _PER_DIRECTORY, count))
        run.job("make", reads=[], writes={f"out/{start}/{n}.txt": f"{n}\n" for n in numbers})
    run.end()
    time.sleep(_OLD_S)
    cache = StatCache()
    for path in (root / "out").rglob("*.txt"):
        observe(path, root=root, cache=cache)
    cache.save(cache_file(root))
    command = [sys.executable, "-m", "snakemake_repro.cli", "verify", "-C", str(root)]
    subprocess.run(command, check=True, capture_output=True)  # builds the index
    for flags in ((), ("--quick",)):
        seconds = []
        for _ in range(3):
            started = time.monotonic()
            subprocess.run([*command, *flags], check=True, capture_output=True)
            seconds.append(time.monotonic() - started)
        name = " ".join(("repro verify", *flags))
        print(f"{name:21} of {count:,} files {statistics.median(seconds):7.2f} s")


def main() -> None:
    """Run the benchmark."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as installations are
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--files", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="repro-bench-") as directory:
        _large(Path(directory), options.gib)
        _many(Path(directory), options.files)


if __name__ == "__main__":
    main()
