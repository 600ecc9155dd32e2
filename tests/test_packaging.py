"""What a user installs: wheel and editable install, each found by Snakemake in a fresh environment.

The fresh environments hold nothing but our own distribution; what it depends on is taken from the
environment that runs the tests, by a path that comes after their own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from wrapperjobs import LOCKED

import snakemake_repro

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
PACKAGES = ("snakemake_repro", "snakemake_executor_plugin_ray", "snakemake_logger_plugin_repro")
VERSION = snakemake_repro.__version__
STEM = f"snakemake_executor_plugin_ray-{VERSION}"

ASK = """
import importlib.metadata, json, sys
import snakemake_executor_plugin_ray, snakemake_logger_plugin_repro, snakemake_repro
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry
plugins = {
    "executor": ExecutorPluginRegistry().get_plugin("ray"),
    "logger": LoggerPluginRegistry().get_plugin("repro"),
}
distribution = importlib.metadata.distribution("snakemake-executor-plugin-ray")
print(json.dumps({
    "files": [
        snakemake_repro.__file__,
        snakemake_executor_plugin_ray.__file__,
        snakemake_logger_plugin_repro.__file__,
    ],
    "metadata": str(distribution.locate_file("")),
    "version": distribution.version,
    "wrapper": snakemake_repro.wrapper("xgboost/train"),
    "settings": {kind: plugin.get_settings_info() for kind, plugin in plugins.items()},
}))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Installed:
    """A fresh environment with our distribution in it.

    Attributes:
        home: Where our modules must come from.
    """

    prefix: Path
    home: Path

    def run(self, *command: str) -> str:
        """Run a program of the environment far from the sources; return what it prints."""
        done = subprocess.run(
            [str(self.prefix / "bin" / command[0]), *command[1:]],
            cwd=self.prefix,
            env=_environ(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _environ() -> dict[str, str]:
    """Return our environment without what would lead to another installation."""
    misleading = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in misleading}


def _uv(*arguments: str) -> None:
    from uv import find_uv_bin

    done = subprocess.run(
        [find_uv_bin(), *arguments, "--quiet", "--offline"],
        cwd=ROOT,
        env=_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def _fresh(prefix: Path) -> Path:
    """Make an environment that finds our dependencies, but not us, in the one that runs us."""
    _uv("venv", "--no-project", "--python", sys.executable, str(prefix))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = prefix / "lib" / version / "site-packages"
    # of a directory that a .pth file names no further .pth file is read: an editable install of
    # ours there stays invisible, and an ordinary one comes later on the path
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return site


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist, and the wheel that was built from it."""
    directory = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT)],
        env=_environ(),
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(
    request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    prefix = tmp_path_factory.mktemp(request.param) / "environment"
    site = _fresh(prefix)
    how = ("pip", "install", "--no-deps", "--python", str(prefix / "bin" / "python"))
    if request.param == "wheel":
        _uv(*how, str(built / f"{STEM}-py3-none-any.whl"))
        return Installed(prefix=prefix, home=site)
    _uv(*how, "--no-build-isolation", "--editable", str(ROOT))
    return Installed(prefix=prefix, home=ROOT)


@pytest.fixture(scope="module")
def answer(installed: Installed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(installed.run("python", "-P", "-c", ASK))
    return found


def test_what_is_asked_is_the_installation_under_test(
    installed: Installed, answer: dict[str, Any]
) -> None:
    expected = [str(installed.home / package / "__init__.py") for package in PACKAGES]
    found = answer["files"]
    assert sorted(found) == sorted(expected)
    assert answer["version"] == VERSION
    assert Path(answer["metadata"]).is_relative_to(installed.prefix)
    assert answer["wrapper"] == (installed.home / "snakemake_repro/wrappers/xgboost/train").as_uri()


@pytest.mark.parametrize("kind", ["executor", "logger"])
def test_snakemake_finds_the_plugin_with_its_settings(answer: dict[str, Any], kind: str) -> None:
    """The plugin catalog asks the same and fails over a setting without help or default."""
    settings = answer["settings"][kind]
    assert settings
    for setting in settings:
        assert setting["help"].endswith("."), setting
        assert "default" in setting
        assert setting["required"] is False
        if setting["choices"] is not None:
            assert setting["default"] in setting["choices"]
    prefix = {"executor": "--ray-", "logger": "--logger-repro-"}[kind]
    assert all(setting["cliarg"].startswith(prefix) for setting in settings)


def test_snakemake_itself_shows_the_flags(installed: Installed, answer: dict[str, Any]) -> None:
    said = installed.run("python", "-P", "-m", "snakemake", "--help")
    for setting in (*answer["settings"]["executor"], *answer["settings"]["logger"]):
        assert setting["cliarg"] in said
    assert "--executor {ray," in said.replace("\n", " ")


def test_the_command_works(installed: Installed) -> None:
    assert installed.run("repro", "--version") == f"repro, version {VERSION}\n"
    (installed.prefix / "Snakefile").write_text("rule all:\n")
    installed.run("repro", "init")
    assert (installed.prefix / "profiles/default/config.yaml").is_file()


def test_the_wheel_holds_our_packages_and_nothing_else(built: Path) -> None:
    with zipfile.ZipFile(built / f"{STEM}-py3-none-any.whl") as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    info = f"{STEM}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, info}
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    for wrapper in LOCKED:
        files = ("wrapper.py", "environment.yaml", "environment.requirements.lock", "meta.yaml")
        assert {f"snakemake_repro/wrappers/{wrapper}/{file}" for file in files} <= names
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if not name.startswith(info)} == sources
    assert f"{info}/licenses/LICENSE" in names


def test_the_metadata_is_what_the_plugin_catalog_needs(built: Path) -> None:
    with zipfile.ZipFile(built / f"{STEM}-py3-none-any.whl") as wheel:
        metadata = wheel.read(f"{STEM}.dist-info/METADATA").decode()
        entry_points = wheel.read(f"{STEM}.dist-info/entry_points.txt").decode()
    head = metadata.partition("\n\n")[0].splitlines()
    assert "Name: snakemake-executor-plugin-ray" in head
    assert f"Version: {VERSION}" in head, "pyproject.toml and snakemake_repro.__version__ agree"
    assert "License-Expression: MIT" in head
    assert any(line.startswith("Project-URL: Repository, https://") for line in head)
    assert "repro = snakemake_repro.cli:main" in entry_points


def test_the_sdist_holds_what_tests_and_readers_need(built: Path) -> None:
    with tarfile.open(built / f"{STEM}.tar.gz") as sdist:
        names = {name.removeprefix(f"{STEM}/") for name in sdist.getnames()}
    needed = {
        "pyproject.toml",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "docs/intro.md",
        "docs/further.md",
        "envs/corsika.requirements.lock",
        "workflow/Snakefile",
        "workflow/profiles/default/config.yaml",
        "tests/test_packaging.py",
    }
    assert needed <= names
    left_behind = (".venv", ".git/", ".repro", ".snakemake", "mlruns", "results", "__pycache__")
    assert [name for name in names if any(part in name for part in left_behind)] == []
