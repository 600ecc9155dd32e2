"""Locking and realising conda environments, against ``python -m venv`` with pip.

python tests/benchmarks/bench_environments.py
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from conda_channel import OTHER, make_channel, serve

from snakemake_repro.backends.environments.lockfile import resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments


def _ms(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - started)


def _write(path: Path, url: str, *packages: str) -> Path:
    lines = "".join(f"  - {package}\n" for package in packages)
    platforms = f"platforms: [linux-64, {OTHER}]\n" if "tool" in packages else ""
    path.write_text(f"channels: [{url}]\n{platforms}dependencies:\n{lines}")
    return path


def main() -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        channel = make_channel(root / "channel")
        with serve(channel) as url:
            _bench(root, url)


def _bench(root: Path, url: str) -> None:
    files = [_write(root / f"{name}.yaml", url, "python", "tool") for name in "abc"]
    command = [sys.executable, "-m", "snakemake_repro.cli", "lock", *map(str, files)]
    locked = _ms(lambda: subprocess.run(command, check=True, capture_output=True))
    print(f"lock of 3 files for 2 platforms    {locked:8.0f} ms")
    path = _write(root / "many.yaml", url, "python", "greet", "many", "activated")
    subprocess.run([*command[:-3], str(path)], check=True, capture_output=True)
    spec = resolve_spec(path, root)
    store = root / "store"
    environments = NodeEnvironments(store)
    prefix = environments.place(spec)
    cold = _ms(lambda: environments.realise(spec))
    count = sum(1 for file in prefix.rglob("*") if file.is_file())
    warm = []
    for _ in range(9):
        shutil.rmtree(prefix)
        prefix.with_suffix(".ok").unlink()
        warm.append(_ms(lambda: NodeEnvironments(store).realise(spec)))
    nothing = [_ms(lambda: NodeEnvironments(store).realise(spec)) for _ in range(9)]
    venv = [
        _ms(
            lambda place=root / f"venv{number}": subprocess.run(
                [sys.executable, "-m", "venv", str(place)], check=True
            )
        )
        for number in range(3)
    ]
    base = statistics.median(venv)
    print(f"realise, nothing cached            {cold:8.0f} ms  {count:,} files")
    print(f"realise, packages cached           {statistics.median(warm):8.0f} ms")
    print(f"realise, there already             {statistics.median(nothing):8.1f} ms")
    print(f"python -m venv                     {base:8.0f} ms")
    print(f"ratio, packages cached, to venv    {statistics.median(warm) / base:8.2f}")


if __name__ == "__main__":
    main()
