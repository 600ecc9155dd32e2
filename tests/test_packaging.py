"""What is installed is what Snakemake finds: from the wheel and from an editable install."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "snakemake_repro",
    "snakemake_executor_plugin_ray",
    "snakemake_logger_plugin_repro",
}
ASK = """
import json, snakemake_repro
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
plugins = {
    "ray": ExecutorPluginRegistry().get_plugin("ray"),
    "repro": LoggerPluginRegistry().get_plugin("repro"),
}
print(json.dumps({
    "file": snakemake_repro.__file__,
    "settings": {name: plugin.get_settings_info() for name, plugin in plugins.items()},
}, default=str))
"""


def _python(*arguments: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    _python("-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT))
    assert list(target.glob("*.tar.gz"))
    [path] = target.glob("*.whl")
    return path


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A new environment that sees our dependencies and not the project itself.

    The parent's site-packages are searched after its own, so what is installed here comes first;
    the assertion on the file's place makes sure that it did.
    """
    prefix = tmp_path / "venv"
    venv.create(prefix, with_pip=False)
    parent = next(path for path in map(Path, sys.path) if path.name == "site-packages")
    (_site(prefix) / "dependencies.pth").write_text(f"{parent}\n")
    return prefix


def _site(prefix: Path) -> Path:
    [site] = prefix.glob("lib/python*/site-packages")
    return site


def _install(prefix: Path, *what: str) -> None:
    from uv import find_uv_bin

    python = str(prefix / "bin" / "python")
    command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    # hatchling builds the editable install; the parent's is found through the .pth
    done = subprocess.run(
        [*command, "--python", python, *what], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _ask(prefix: Path, tmp_path: Path) -> dict[str, object]:
    done = subprocess.run(
        [prefix / "bin" / "python", "-P", "-c", ASK],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def _check(answer: dict[str, object]) -> None:
    settings = answer["settings"]
    assert isinstance(settings, dict)
    assert set(settings) == {"ray", "repro"}
    for infos in settings.values():
        assert infos
        for info in infos:
            assert info["help"], info["name"]
            assert info["required"] is False


def test_the_wheel_is_found_by_snakemake(wheel: Path, fresh: Path, tmp_path: Path) -> None:
    _install(fresh, str(wheel))
    answer = _ask(fresh, tmp_path)
    assert str(answer["file"]).startswith(str(fresh))
    _check(answer)
    done = subprocess.run(
        [fresh / "bin" / "repro", "--help"], capture_output=True, text=True, check=True
    )
    assert "lineage" in done.stdout


def test_the_editable_install_is_found_by_snakemake(fresh: Path, tmp_path: Path) -> None:
    _install(fresh, "--editable", str(ROOT))
    answer = _ask(fresh, tmp_path)
    assert Path(str(answer["file"])).is_relative_to(ROOT)
    _check(answer)


def test_the_wheel_holds_the_wrappers_and_nothing_at_the_top_but_our_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    for wrapper in ("sklearn/train", "xgboost/train", "lightgbm/train", "evaluate"):
        folder = f"snakemake_repro/wrappers/{wrapper}"
        for file in (
            "wrapper.py",
            "meta.yaml",
            "environment.yaml",
            "environment.requirements.lock",
        ):
            assert f"{folder}/{file}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
