"""A script's own modules are those that lie beside it and that it reaches by importing."""

from __future__ import annotations

from pathlib import Path

from snakemake_repro.backends.python_modules import project_modules


def _write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_modules_are_followed_through_packages(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {
            "train.py": "import json, numpy, helper\nfrom lab.models import svm, other_name\n",
            "helper.py": "import lab.tools as tools",
            "lab/__init__.py": "",
            "lab/models/__init__.py": "from ..tools import mean\nfrom . import base\n",
            "lab/models/svm.py": "from .base import Model",
            "lab/models/base.py": "",
            "lab/models/unused.py": "",
            "lab/tools.py": "import train",
            "space/inner.py": "",
            "json.py": "raise SystemExit('the standard library comes first')",
        },
    )
    assert list(project_modules(tmp_path / "train.py", tmp_path)) == [
        "helper.py",
        "lab/__init__.py",
        "lab/models/__init__.py",
        "lab/models/base.py",
        "lab/models/svm.py",
        "lab/tools.py",
        "train.py",
    ]


def test_a_package_without_a_file_of_its_own_is_passed_through(tmp_path: Path) -> None:
    _write(tmp_path, {"a.py": "from space.inner import x", "space/inner.py": ""})
    assert list(project_modules(tmp_path / "a.py", tmp_path)) == ["space/inner.py"]


def test_a_module_that_changed_is_read_again(tmp_path: Path) -> None:
    _write(tmp_path, {"a.py": "import b", "b.py": "", "c.py": ""})
    assert list(project_modules(tmp_path / "a.py", tmp_path)) == ["b.py"]
    (tmp_path / "b.py").write_text("import c")
    assert list(project_modules(tmp_path / "a.py", tmp_path)) == ["b.py", "c.py"]
