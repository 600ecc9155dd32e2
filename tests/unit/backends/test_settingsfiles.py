"""The ``/etc`` of hermetic jobs."""

from __future__ import annotations

from pathlib import Path

from snakemake_repro.backends.settingsfiles import settings_directory


def _sources(root: Path) -> list[Path]:
    (root / "ssl/private").mkdir(parents=True)
    (root / "ssl/private/key").write_text("secret")
    (root / "ssl/certs").mkdir()
    (root / "ssl/certs/ca.pem").write_text("ca")
    (root / "ssl/link").symlink_to("certs/ca.pem")
    (root / "passwd").write_text("somebody:x:0:0::/:/bin/sh\n")
    return [root / "ssl", root / "passwd"]


def test_it_holds_what_is_wanted_and_no_keys_and_nobody_of_this_machine(tmp_path: Path) -> None:
    place = settings_directory(tmp_path / "store", _sources(tmp_path / "etc"), "1")
    assert (place / "ssl/link").read_text() == "ca"
    assert not (place / "ssl/private").exists()
    assert (place / "passwd").read_text().startswith("job:x:1000:")
    assert "localhost" in (place / "hosts").read_text()


def test_it_is_made_once_and_anew_when_something_changed(tmp_path: Path) -> None:
    sources = _sources(tmp_path / "etc")
    first = settings_directory(tmp_path / "store", sources, "1")
    (first / "mark").touch()
    assert settings_directory(tmp_path / "store", sources, "1") == first
    assert (first / "mark").exists()
    assert settings_directory(tmp_path / "store", sources, "2") != first
