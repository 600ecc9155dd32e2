"""The architecture as the folders show it: imports go downwards, heavy ones wait, places are kept."""

from __future__ import annotations

import ast
import dataclasses
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
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
    ("snakemake_repro.canonical",),
    ("snakemake_repro.operations",),
    (
        "snakemake_repro.agent",
        "snakemake_repro.contained",
        "snakemake_repro.gateway",
        "snakemake_repro.recorder",
        "snakemake_repro.cli",
        "snakemake_repro.client",
        "snakemake_repro.comparators",
        "snakemake_repro.jobfunction",
        "snakemake_repro.wrappers",
        "snakemake_executor_plugin_ray",
        "snakemake_logger_plugin_repro",
    ),
)
"""Lowest first. Modules of the highest layer are faces and do not import each other."""

BETWEEN_FACES = {
    "snakemake_repro.recorder.start_recorder",
    "snakemake_repro.client.Tracking",
}
"""Who records starts the process that delivers, and a job's function runs in the client's block;
everything else of a face is its own."""

PURE = (
    "snakemake_repro.errors",
    "snakemake_repro.records",
    "snakemake_repro.logic",
    "snakemake_repro.interfaces",
)
"""No input or output, no clock, no environment variable, no chance."""

SIDE_EFFECTS = frozenset(
    (
        "asyncio", "ctypes", "fcntl", "getpass", "glob", "io", "logging", "multiprocessing", "os",
        "platform", "random", "secrets", "select", "shutil", "signal", "socket", "sqlite3",
        "subprocess", "sys", "tempfile", "threading", "time", "uuid",
    )
)  # fmt: skip
IMPURE_NAMES = frozenset(("open", "print", "input", "exec", "eval"))
IMPURE_METHODS = frozenset(
    (
        "now", "utcnow", "today", "cwd", "home", "exists", "is_file", "is_dir", "stat", "open",
        "read_text", "read_bytes", "write_text", "write_bytes", "iterdir", "rglob", "mkdir",
        "unlink", "resolve", "absolute",
    )
)  # fmt: skip
"""Of ``datetime`` and ``Path``, which are else harmless."""

ONLY_IN = {
    "ray": (
        "snakemake_repro.backends.ray_cluster",
        "snakemake_repro.backends.ray_helpers",
        "snakemake_repro.backends.ray_objects",
        "snakemake_repro.backends.ray_settings",
        "snakemake_repro.backends.ray_workers",
        "snakemake_repro.wrappers.families.lightgbm",
        "snakemake_repro.wrappers.families.torch_shares",
        "snakemake_repro.wrappers.workers",
    ),
    "mlflow": ("snakemake_repro.backends.mlflow_",),
    "git": ("snakemake_repro.backends.git", "snakemake_repro.backends.git_checkout"),
    "docker": ("snakemake_repro.backends.containers",),
    "requests": (
        "snakemake_repro.backends.containers.registry",
        "snakemake_repro.backends.notifier",
    ),
    "uv": ("snakemake_repro.backends.uv",),
    "rattler": (
        "snakemake_repro.backends.conda_solve",
        "snakemake_repro.backends.environments.conda",
    ),
    "cryptography": ("snakemake_repro.backends.signatures",),
    "rocrate": ("snakemake_repro.backends.research_object",),
    "sqlite3": ("snakemake_repro.backends.index",),
    "fcntl": ("snakemake_repro.backends.environments.flock", "snakemake_repro.backends.index"),
    "ctypes": (
        "snakemake_repro.backends.processtree",
        "snakemake_repro.backends.environments.store",
    ),
    "socket": (
        "snakemake_repro.backends.ray_cluster",
        "snakemake_repro.backends.ray_helpers",
        "snakemake_repro.backends.ray_parts",
        "snakemake_repro.backends.host",
        "snakemake_repro.backends.journal",
        "snakemake_repro.wrappers.tuning.helpers",
    ),
    "subprocess": (
        "snakemake_repro.backends.agents",
        "snakemake_repro.backends.bubblewrap",
        "snakemake_repro.backends.conda_solver",
        "snakemake_repro.backends.containers.apptainer",
        "snakemake_repro.backends.environments.conda",
        "snakemake_repro.backends.environments.interpreters",
        "snakemake_repro.backends.foreground",
        "snakemake_repro.backends.gateway",
        "snakemake_repro.backends.host",
        "snakemake_repro.backends.maphash",
        "snakemake_repro.backends.notifier",
        "snakemake_repro.backends.processtree",
        "snakemake_repro.backends.ray_helpers",
        "snakemake_repro.backends.snakemake_command",
        "snakemake_repro.backends.tracing",
        "snakemake_repro.backends.uv",
        # it starts itself; and Snakemake raises `CalledProcessError` in the agent's forks
        "snakemake_repro.recorder",
        "snakemake_repro.agent.calls",
        "snakemake_repro.agent.programs",
        "snakemake_repro.agent.scripts",
        "snakemake_repro.wrappers.packages",
        "snakemake_repro.wrappers.scripting",
        "snakemake_repro.wrappers.tuning.slots",
    ),
    "snakemake": (
        "snakemake_repro.backends.snakemake_",
        "snakemake_repro.agent.calls",
        "snakemake_repro.agent.programs",
        "snakemake_repro.agent.scripts",
    ),
    "snakemake_interface_common": ("snakemake_executor_plugin_ray",),
    "snakemake_interface_executor_plugins": ("snakemake_executor_plugin_ray",),
    "snakemake_interface_logger_plugins": ("snakemake_logger_plugin_repro",),
    "click": ("snakemake_repro.cli",),
    "jinja2": ("snakemake_repro.cli._page",),
    "networkx": ("snakemake_repro.logic.drawing",),
    "rich": ("snakemake_repro.cli",),
    "numpy": (
        "snakemake_repro.backends.comparators",
        "snakemake_repro.client",
        "snakemake_repro.wrappers",
    ),
    "PIL": ("snakemake_repro.backends.comparators",),
    "pyarrow": ("snakemake_repro.backends.comparators", "snakemake_repro.wrappers"),
    "pandas": ("snakemake_repro.wrappers",),
    "sklearn": ("snakemake_repro.wrappers",),
    "xgboost": ("snakemake_repro.wrappers",),
    "fastai": ("snakemake_repro.backends.mlflow_fastai", "snakemake_repro.wrappers.families"),
    "lightgbm": ("snakemake_repro.wrappers",),
    "jupyter_client": ("snakemake_repro.wrappers.notebooks",),
    "nbclient": ("snakemake_repro.wrappers.notebooks",),
    "nbformat": ("snakemake_repro.wrappers.notebooks",),
    "optuna": ("snakemake_repro.wrappers.tuning",),
    "uproot": ("snakemake_repro.canonical.root", "snakemake_repro.wrappers.roots"),
}
"""Libraries with side effects, or heavy ones, and the modules that may know them."""

NOT_YET = ("conda_lock",)
"""Dependencies of later versions."""

IMPORT_NAMES = {
    "gitpython": "git",
    "pillow": "PIL",
    "py-rattler": "rattler",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "xgboost-cpu": "xgboost",
}
OPTIONAL = {
    *("keras", "pytorch_lightning", "tensorflow", "torch", "awkward", "corsikaio", "uproot"),
    *("fastai", "jupyter_client", "nbclient", "nbformat"),
}
"""Seeded when a job has them, and needed by what the extras `corsika`, `fastai`, `networks`, `notebook` and `root` are for alone."""

FORKS = {
    "snakemake_repro.backends.processtree",
    "snakemake_repro.agent.__main__",
    "snakemake_repro.recorder",
    "snakemake_repro.wrappers.tuning.helper",
}

NEVER_FIRST = frozenset(
    (
        "ray", "mlflow", "docker", "rattler", "conda_lock", "git", "uv", "networkx", "jinja2", "pandas",
        "numpy", "sklearn", "xgboost", "lightgbm", "optuna", "matplotlib", "pyarrow", "yaml", "rich",
        "snakemake", "sqlalchemy", "scipy", "joblib", "requests", "rocrate",
        "cryptography", "nbclient", "nbformat", "jupyter_client",
    )
)  # fmt: skip
"""Imported inside the function that needs them, or not at all."""

LONGEST = 450
"""Lines that a module may have."""

FORBIDDEN = re.compile(
    r"(?<![\w.-])(?:[\w-]+\.)*(?:pypi\.org|pythonhosted\.org|anaconda\.(?:org|com)|prefix\.dev"
    r"|npmjs\.(?:org|com)|crates\.io|cran\.r-project\.org|proxy\.golang\.org"
    r"|(?:registry-1|index|hub)\.docker\.(?:io|com)|(?:ghcr|gcr|quay)\.io|mcr\.microsoft\.com)\b"
    r"|(?<![\w./$}~-])/(?:work|root)(?:/|\b)|(?<![\w.$}~-])/tmp/lab\b"
    r"|\bTODO\b|\bFIXME\b"
)
"""Hosts of package registries, paths of one machine, work that is not done."""
HOME = re.compile(r"(?<![\w./$}~-])/home/(?!(?:x|me|you)\b)\w+")
"""Somebody's directory; the three names stand for nobody."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Module:
    """One module of ours, parsed."""

    name: str
    path: Path
    tree: ast.Module

    def below(self, *prefixes: str) -> bool:
        """Tell whether it is one of these modules or lies below one of these packages."""
        return _below(self.name, prefixes)


def _modules() -> Iterator[Module]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            yield Module(name=name, path=path, tree=ast.parse(path.read_text(encoding="utf-8")))


MODULES = tuple(_modules())
NAMES = frozenset(module.name for module in MODULES)


def _below(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield every imported module; ``from package import module`` counts as that module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            base = node.module or ""
            inner = [f"{base}.{alias.name}" for alias in node.names]
            yield from (name if name in NAMES else base for name in inner)


def _imported_names(tree: ast.AST) -> Iterator[str]:
    """Yield what is imported, down to the name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _first_imports(node: ast.AST) -> Iterator[str]:
    """Yield what importing the module imports: not what stands in functions or for type checkers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield from _imports(child)
        elif not _waits(child):
            yield from _first_imports(child)


def _waits(node: ast.AST) -> bool:
    """Tell whether what stands in a node does not happen when the module is imported."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test).endswith("TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _layer(name: str) -> int | None:
    for level, prefixes in enumerate(LAYERS):
        if _below(name, prefixes):
            return level
    return None


def _face(name: str) -> str | None:
    return next((prefix for prefix in LAYERS[-1] if _below(name, (prefix,))), None)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_imports_go_downwards(module: Module) -> None:
    level = _layer(module.name)
    if level is None:
        assert module.name == "snakemake_repro", f"{module.name} belongs to no layer"
        return
    above = [
        imported
        for imported in _imports(module.tree)
        if (target := _layer(imported)) is not None and target > level
    ]
    assert above == []


@pytest.mark.parametrize(
    "module", [m for m in MODULES if _face(m.name)], ids=lambda module: module.name
)
def test_faces_do_not_know_each_other(module: Module) -> None:
    foreign = [
        imported
        for imported in _imported_names(module.tree)
        if (face := _face(imported)) is not None
        and face != _face(module.name)
        and imported not in BETWEEN_FACES
    ]
    assert foreign == []


def test_the_agent_stays_small_and_clean() -> None:
    allowed = (
        "snakemake_repro.agent",
        "snakemake_repro.backends.processtree",
        "snakemake_repro.backends.snakemake_forks",
        "snakemake_repro.logic",
        "snakemake_repro.records",
        "snakemake_repro.errors",
    )
    foreign = [
        (module.name, imported)
        for module in MODULES
        if module.below("snakemake_repro.agent")
        for imported in _imports(module.tree)
        if imported.startswith("snakemake_repro") and not _below(imported, allowed)
    ]
    assert foreign == []


@pytest.mark.parametrize(("library", "homes"), ONLY_IN.items(), ids=ONLY_IN)
def test_a_library_has_its_place(library: str, homes: tuple[str, ...]) -> None:
    users = {
        module.name
        for module in MODULES
        if any(_below(imported, (library,)) for imported in _imports(module.tree))
    }
    assert sorted(name for name in users if not name.startswith(homes)) == []
    unused = [home for home in homes if not any(name.startswith(home) for name in users)]
    assert unused == [], "these no longer need it"


def test_every_library_that_is_imported_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^\w.-]", line)[0].lower() for line in project["dependencies"]}
    known = {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in declared}
    imported = {name.partition(".")[0] for m in MODULES for name in _imports(m.tree)}
    foreign = imported - set(sys.stdlib_module_names) - set(PACKAGES) - OPTIONAL
    assert foreign - known == set()


@pytest.mark.parametrize("library", NOT_YET)
def test_nothing_uses_a_dependency_of_later_versions_in_passing(library: str) -> None:
    users = [
        module.name
        for module in MODULES
        if any(_below(imported, (library,)) for imported in _imports(module.tree))
    ]
    assert all(_below(name, ("snakemake_repro.backends",)) for name in users)


def test_processes_are_forked_in_few_places() -> None:
    forking = {
        module.name
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and re.fullmatch(r"fork\w*|exec[lv]\w*|spawn\w*|system|popen|posix_spawn\w*", node.attr)
    }
    assert forking == FORKS


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    early = [
        (module.name, imported)
        for module in MODULES
        # the wrappers' own modules are imported in jobs only; their package by every Snakefile
        if module.name == "snakemake_repro.wrappers" or not module.below("snakemake_repro.wrappers")
        for imported in _first_imports(module.tree)
        if imported.partition(".")[0] in NEVER_FIRST
        # renderers are imported by the commands that print, and they live on rich
        and not (imported.startswith("rich") and module.name.startswith("snakemake_repro.cli._"))
    ]
    assert early == []


@pytest.mark.parametrize(
    "module", [m for m in MODULES if m.below(*PURE)], ids=lambda module: module.name
)
def test_the_pure_layers_have_no_side_effects(module: Module) -> None:
    imported = {name.partition(".")[0] for name in _imports(module.tree)}
    assert imported & SIDE_EFFECTS == set()
    calls = [node.func for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    called = {func.id for func in calls if isinstance(func, ast.Name)}
    methods = {func.attr for func in calls if isinstance(func, ast.Attribute)}
    assert called & IMPURE_NAMES == set()
    assert methods & IMPURE_METHODS == set()


def test_every_module_says_what_it_is_for() -> None:
    assert [m.name for m in MODULES if not ast.get_docstring(m.tree)] == []


def test_a_module_is_one_noun() -> None:
    lengths = {m.name: m.path.read_text(encoding="utf-8").count("\n") for m in MODULES}
    too_long = {name: n for name, n in lengths.items() if n > LONGEST}
    assert too_long == {}


def test_the_client_is_one_file_of_old_python_and_its_standard_library(tmp_path: Path) -> None:
    source = ROOT / "snakemake_repro" / "client.py"
    tree = ast.parse(source.read_text(encoding="utf-8"), feature_version=(3, 7))
    first = {imported.partition(".")[0] for imported in _first_imports(tree)}
    assert first <= sys.stdlib_module_names
    copy = shutil.copy(source, tmp_path / "alone.py")
    script = "import sys; sys.path = [sys.argv[1], *sys.path]; import alone; print(alone.track)"
    done = subprocess.run(
        # no site-packages, so that nothing of ours can be imported
        [sys.executable, "-I", "-S", "-c", script, str(copy.parent)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "function track" in done.stdout


@pytest.mark.parametrize(
    ("statement", "light"),
    [
        ("import snakemake_executor_plugin_ray", ()),
        ("import snakemake_logger_plugin_repro", ()),
        ("from snakemake_repro import track, wrapper", ("snakemake",)),
        ("import snakemake_repro.cli", ("snakemake", "sqlite3")),
        ("import snakemake_repro.agent.__main__", ("snakemake", "sqlite3", "logging")),
        ("import snakemake_repro.operations.execute", ("snakemake",)),
    ],
    ids=lambda value: value.split()[1] if isinstance(value, str) else "",
)
def test_importing_a_face_loads_nothing_heavy(statement: str, light: tuple[str, ...]) -> None:
    heavy = sorted({*(NEVER_FIRST - {"snakemake", "yaml", "requests"}), *light})
    script = f"{statement}\nimport sys\nprint([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_nothing_names_a_package_registry_a_machine_or_unfinished_work() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    paths = {ROOT / name.decode() for name in listed if name} - {Path(__file__)}
    assert ROOT / "README.md" in paths
    found = []
    for path in sorted(paths):
        if not path.is_file():  # deleted, and not yet committed
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        for pattern in (FORBIDDEN, HOME):
            found += [(str(path.relative_to(ROOT)), match[0]) for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("see https://pypi" + ".org/simple", True),
        ("files.pythonhosted" + ".org", True),
        ("conda.anaconda" + ".org/conda-forge", True),
        ("FROM quay" + ".io/x", True),
        ("cd /wo" + "rk/main", True),
        ("'/ro" + "ot/.cache'", True),
        ("/home" + "/alice/data", True),
        ("/home/me/data", False),
        ("$HOME/work/main, ~/work/x, results/work/y, a/root/b", False),
        ("apt-get install docker.io", False),
        ("file:///some/home/page", False),
    ],
)
def test_the_search_for_what_must_not_be_there_finds_it(text: str, *, caught: bool) -> None:
    assert bool(FORBIDDEN.search(text) or HOME.search(text)) is caught
