"""Fixtures that every tier of tests may use."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import RunningCluster, can_hide, node_elsewhere, ray_cluster
from containers import Registry, make_image
from containers import registry as run_registry
from pairs import Pair
from places import Place, in_conda, in_container, in_pypi
from podman import podman_service
from runs import Workspace

from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.errors import EnvironmentBuildError


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """A Ray cluster with two CPUs that the whole session shares."""
    log = tmp_path_factory.mktemp("ray") / "cluster.log"
    with ray_cluster(cpus=2, log=log) as running:
        yield running


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An MLflow store for runs whose test does not look at it: making one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def workspace(tmp_path: Path, cluster: RunningCluster, tracking_uri: str) -> Workspace:
    """An empty working directory whose runs join the shared cluster."""
    root = tmp_path / "work"
    root.mkdir()
    return Workspace(root, cluster, tracking_uri)


@pytest.fixture
def pair(tmp_path: Path, cluster: RunningCluster, tracking_uri: str) -> Pair:
    """Two empty working directories, one for each executor."""
    return Pair(tmp_path, cluster, tracking_uri)


@pytest.fixture
def lonely(tmp_path: Path, tracking_uri: str) -> Workspace:
    """An empty working directory whose runs start a cluster of their own."""
    root = tmp_path / "work"
    root.mkdir()
    return Workspace(root, tracking_uri=tracking_uri)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The Docker engine of this machine."""
    try:
        found = Engine()
    except EnvironmentBuildError as exc:
        pytest.skip(exc.message)
    with contextlib.closing(found.client):
        yield found


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Registry]:
    """A registry on loopback; what its images left in the engine is removed at the end."""
    with run_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running
    for image in engine.client.images.list():
        if any(name.startswith(running.host) for name in image.attrs.get("RepoDigests") or []):
            engine.client.images.remove(image.id, force=True)


@pytest.fixture
def podman(registry: Registry) -> Iterator[str]:
    """The address of a Podman service with a store of its own."""
    with podman_service(registry.host) as address:
        yield address


@pytest.fixture(scope="session")
def small(registry: Registry) -> str:
    """An image of busybox and bash, by tag."""
    registry.push(make_image("busybox", label="small"), "lab/small", "1")
    return f"{registry.host}/lab/small:1"


@pytest.fixture(scope="session")
def python(registry: Registry) -> str:
    """An image with Python, by tag."""
    registry.push(make_image("python", label="python"), "lab/python", "1")
    return f"{registry.host}/lab/python:1"


@pytest.fixture(scope="session")
def conda_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A conda environment with Python and one package."""
    with in_conda(tmp_path_factory.mktemp("conda")) as found:
        yield found


@pytest.fixture(scope="session")
def pypi_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A PyPI environment with one package."""
    return in_pypi(tmp_path_factory.mktemp("pypi"))


@pytest.fixture
def container_place(python: str) -> Place:
    """An image with Python."""
    return in_container(python)


@pytest.fixture(params=["container", "conda", "pypi"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind of environment."""
    found: Place = request.getfixturevalue(f"{request.param}_place")
    return found


@pytest.fixture(scope="module")
def apart(hidden: Path) -> Iterator[RunningCluster]:
    """A cluster whose only CPUs are on a node that does not see what the driver sees."""
    if not can_hide():
        pytest.skip("hiding files from a node needs the right to make a mount namespace")
    with ray_cluster(0) as cluster, node_elsewhere(cluster, hidden):
        yield cluster


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the node of the cluster `apart` does not see."""
    return tmp_path_factory.mktemp("hidden")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") and shutil.which("nvidia-smi") is None:
        pytest.skip("needs an NVIDIA GPU and its driver")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let long tests begin first where tests run side by side, so that none is left over alone."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("integration") is None)
