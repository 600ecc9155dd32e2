"""Whoever told pip or uv where packages come from need not say it again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from snakemake_repro.backends.environments.indexes import indexes, pip_settings
from snakemake_repro.errors import EnvironmentBuildError


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment in which neither pip nor uv has been told anything."""
    for name in os.environ:
        if name.startswith(("PIP_", "UV_")) or name in ("SSL_CERT_FILE", "ALL_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return monkeypatch


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_nothing_told_is_nothing_said(clean: pytest.MonkeyPatch) -> None:
    found = indexes(portable=True)
    assert (found.arguments, dict(found.variables)) == ((), {})


def test_pips_index_becomes_uvs(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("PIP_INDEX_URL", "http://u:p@mirror.example/simple")
    clean.setenv("PIP_CERT", "/etc/own.pem")
    found = indexes(portable=True)
    assert found.arguments == (), "credentials are in no command line"
    assert found.variables == {
        "UV_DEFAULT_INDEX": "http://u:p@mirror.example/simple",
        "SSL_CERT_FILE": "/etc/own.pem",
    }


def test_of_several_indexes_the_main_one_is_asked_first(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("PIP_INDEX_URL", "http://main.example/simple")
    clean.setenv("PIP_EXTRA_INDEX_URL", "http://a.example/simple http://b.example/simple")
    found = indexes(portable=True)
    assert found.variables["UV_INDEX"].split() == [
        "http://main.example/simple",
        "http://a.example/simple",
        "http://b.example/simple",
    ]
    assert found.variables["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_the_main_index_that_nobody_named_is_the_one_uv_uses(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("PIP_EXTRA_INDEX_URL", "http://a.example/simple")
    main, extra = indexes(portable=True).variables["UV_INDEX"].split()
    assert main.startswith("https://")
    assert extra == "http://a.example/simple"


def test_directories_of_this_machine_serve_installing_and_not_locking(
    clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheels, simple = tmp_path / "wheels", tmp_path / "simple"
    wheels.mkdir()
    simple.mkdir()
    clean.setenv("PIP_FIND_LINKS", f"{wheels} {tmp_path / 'missing'}")
    clean.setenv("PIP_EXTRA_INDEX_URL", simple.as_uri())
    assert indexes(portable=True).variables == {}
    found = indexes(portable=False).variables
    assert found["UV_FIND_LINKS"] == str(wheels), "what is not there is passed over, as pip does"
    assert found["UV_INDEX"].split()[1] == simple.as_uri()


def test_who_has_nothing_but_a_directory_locks_from_it(
    clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean.setenv("PIP_FIND_LINKS", str(tmp_path))
    clean.setenv("PIP_NO_INDEX", "1")
    found = indexes(portable=True)
    assert found.arguments == ("--no-index",)
    assert found.variables == {"UV_FIND_LINKS": str(tmp_path)}


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"])
def test_what_uv_was_told_itself_counts_alone(clean: pytest.MonkeyPatch, name: str) -> None:
    clean.setenv("PIP_INDEX_URL", "http://pip.example/simple")
    clean.setenv(name, "http://uv.example/simple")
    assert indexes(portable=True).variables == {}


def test_an_index_in_uvs_own_configuration_counts_alone(
    clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean.setenv("PIP_INDEX_URL", "http://pip.example/simple")
    text = '[[index]]\nurl = "http://uv.example/simple"\ndefault = true\n'
    _write(tmp_path / "config/uv/uv.toml", text)
    assert indexes(portable=True).variables == {}


FILES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "user": ({"config/pip/pip.conf": "[global]\nindex-url = http://user\n"}, "http://user"),
    "legacy": ({"home/.pip/pip.conf": "[global]\nindex_url = http://old\n"}, "http://old"),
    "install wins": (
        {
            "config/pip/pip.conf": "[install]\nindex-url = http://b\n[global]\nindex-url = http://a\n"
        },
        "http://b",
    ),
    "user over legacy": (
        {
            "home/.pip/pip.conf": "[global]\nindex-url = http://old\n",
            "config/pip/pip.conf": "[global]\nindex-url = http://user\n",
        },
        "http://user",
    ),
    "prefix over user": (
        {
            "config/pip/pip.conf": "[global]\nindex-url = http://user\n",
            "prefix/pip.conf": "[global]\nindex-url = http://here\n",
        },
        "http://here",
    ),
    "system": ({"etc/pip/pip.conf": "[global]\nindex-url = http://all\n"}, "http://all"),
    "other section": ({"config/pip/pip.conf": "[freeze]\nindex-url = http://no\n"}, ""),
}


@pytest.mark.parametrize(("files", "expected"), list(FILES.values()), ids=list(FILES))
def test_pips_files_are_read_in_its_order(
    tmp_path: Path, files: Mapping[str, str], expected: str
) -> None:
    for name, text in files.items():
        _write(tmp_path / name, text)
    environ = {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_CONFIG_DIRS": str(tmp_path / "etc"),
    }
    assert pip_settings(environ, tmp_path / "prefix").get("index-url", "") == expected
    assert pip_settings({**environ, "PIP_INDEX_URL": "http://env"}, tmp_path)["index-url"] == (
        "http://env"
    )
    named = _write(tmp_path / "named.conf", "[global]\nindex-url = http://named\n")
    environ["PIP_CONFIG_FILE"] = str(named)
    assert pip_settings(environ, tmp_path / "prefix")["index-url"] == "http://named"
    environ["PIP_CONFIG_FILE"] = os.devnull
    assert "index-url" not in pip_settings(environ, tmp_path / "prefix")


def test_what_we_read_is_what_pip_reads() -> None:
    """Said by pip itself, on this machine as it is set up."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    theirs = {
        name.rpartition(".")[2]: value.strip("'").replace("\\n", "\n")
        for name, _, value in (line.partition("=") for line in done.stdout.splitlines())
        if name.startswith(("global.", "install.", ":env:."))
    }
    ours = pip_settings(os.environ, Path(sys.prefix))
    assert {name: ours.get(name) for name in theirs} == theirs


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = _write(tmp_path / "pip.conf", "index-url = x\n")
    with pytest.raises(EnvironmentBuildError, match=r"pip\.conf cannot be read"):
        pip_settings({"PIP_CONFIG_FILE": str(path), "HOME": str(tmp_path)}, tmp_path)
