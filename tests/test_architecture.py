"""The architecture as the folders show it: imports go downwards, heavy ones wait, places are kept."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("snakemake_repro", "snakemake_executor_plugin_ray", "snakemake_logger_plugin_repro")

LAYERS = (
    ("snakemake_repro.errors",),
    ("snakemake_repro.records",),
    ("snakemake_repro.logic",),
    ("snakemake_repro.interfaces",),
    ("snakemake_repro.backends",),
    ("snakemake_repro.operations",),
    ("snakemake_repro.recorder",),
    (
        "snakemake_repro.agent",
        "snakemake_repro.gateway",
        "snakemake_repro.cli",
        "snakemake_repro.client",
        "snakemake_repro.wrappers",
        "snakemake_executor_plugin_ray",
        "snakemake_logger_plugin_repro",
    ),
)
"""Lowest first. Modules of the highest layer are faces and do not import each other."""

ONLY_IN = {
    "ray": ("snakemake_repro.backends.ray_cluster",),
    "mlflow": ("snakemake_repro.backends.mlflow_",),
    "git": ("snakemake_repro.backends.git",),
    "uv": ("snakemake_repro.backends.uv",),
    "sqlite3": ("snakemake_repro.backends.index",),
}
NEVER_FIRST = (
    "ray",
    "mlflow",
    "docker",
    "rattler",
    "conda_lock",
    "git",
    "uv",
    "networkx",
    "pandas",
    "numpy",
    "sklearn",
    "xgboost",
    "lightgbm",
    "matplotlib",
    "pyarrow",
    "yaml",
    "rich",
    "snakemake",
)
SIDE_EFFECTS = {"os", "subprocess", "socket", "random", "secrets", "time", "tempfile", "shutil"}
PURE = ("snakemake_repro.errors", "snakemake_repro.records", "snakemake_repro.logic")
FORBIDDEN = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|conda\.anaconda|(?<![\w/])/(?:work|root)/|/tmp/lab"
    r"|\bTODO\b|\bFIXME\b|\bXXX\b"
)


def _modules() -> Iterator[tuple[str, Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield name, path, ast.parse(path.read_text())


MODULES = tuple(_modules())


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def _first_imports(tree: ast.Module) -> Iterator[str]:
    """Yield what importing the module imports: not what stands in functions or for type checkers."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imports(node)


def _layer(name: str) -> int | None:
    for level, prefixes in enumerate(LAYERS):
        if any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes):
            return level
    return None


def _face(name: str) -> str:
    return next(p for p in LAYERS[-1] if name == p or name.startswith(f"{p}."))


@pytest.mark.parametrize(
    ("name", "tree"), [(n, t) for n, _, t in MODULES], ids=[n for n, *_ in MODULES]
)
def test_imports_go_downwards(name: str, tree: ast.Module) -> None:
    level = _layer(name)
    if level is None:
        assert name == "snakemake_repro", f"{name} belongs to no layer"
        return
    for imported in _imports(tree):
        target = _layer(imported)
        if target is None:
            continue
        assert target <= level, f"{name} imports {imported}, which lies above it"
        if level == len(LAYERS) - 1 == target:
            assert _face(imported) == _face(name), f"the face {name} imports the face {imported}"


@pytest.mark.parametrize(("library", "homes"), ONLY_IN.items(), ids=ONLY_IN)
def test_a_library_with_side_effects_has_one_home(library: str, homes: tuple[str, ...]) -> None:
    users = [
        name
        for name, _, tree in MODULES
        if any(i == library or i.startswith(f"{library}.") for i in _imports(tree))
        and not name.startswith("snakemake_repro.wrappers")
    ]
    assert users
    assert [name for name in users if not name.startswith(homes)] == []


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    early = [
        (name, imported)
        for name, _, tree in MODULES
        if not name.startswith("snakemake_repro.wrappers")
        for imported in _first_imports(tree)
        if imported.partition(".")[0] in NEVER_FIRST
        # renderers are imported by the commands that print, and they live on rich
        and not (imported.startswith("rich") and name.startswith("snakemake_repro.cli._"))
    ]
    assert early == []


def test_the_pure_layers_have_no_side_effects() -> None:
    impure = [
        (name, imported)
        for name, _, tree in MODULES
        if name.startswith(PURE)
        for imported in _imports(tree)
        if imported.partition(".")[0] in SIDE_EFFECTS
    ]
    assert impure == []


def test_every_module_says_what_it_is_for() -> None:
    assert [name for name, _, tree in MODULES if not ast.get_docstring(tree)] == []


def test_a_module_is_one_noun() -> None:
    long = {n: p.read_text().count("\n") for n, p, _ in MODULES}
    assert {name: lines for name, lines in long.items() if lines > 560} == {}


def test_the_client_runs_on_old_pythons_with_nothing_but_the_standard_library() -> None:
    source = (ROOT / "snakemake_repro/client.py").read_text()
    tree = ast.parse(source, feature_version=(3, 7))
    first = {imported.partition(".")[0] for imported in _first_imports(tree)}
    assert first <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "plugin", ["snakemake_executor_plugin_ray", "snakemake_logger_plugin_repro"]
)
def test_importing_a_plugin_loads_nothing_heavy(plugin: str) -> None:
    heavy = ("ray", "mlflow", "docker", "rattler", "pandas", "git", "networkx", "sqlalchemy")
    script = f"import sys, {plugin}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_nothing_names_a_package_index_a_machine_or_unfinished_work() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    ).stdout.split(b"\0")
    found = []
    for name in listed:
        path = ROOT / name.decode()
        if not name or path == Path(__file__) or not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [(name.decode(), match[0]) for match in FORBIDDEN.finditer(text)]
    assert found == []
