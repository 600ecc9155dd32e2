"""Images of conda environments: the same bytes wherever they are made, and they run."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conda_channel import OTHER, make_channel, serve
from containers import (
    Image,
    Registry,
    digest,
    make_image,
    save_image,
    save_layout,
    unpack_image,
)
from runs import Workspace

from snakemake_repro.backends.containers.engine import Engine
from snakemake_repro.backends.environments.lockfile import resolve_spec
from snakemake_repro.backends.environments.store import NodeEnvironments
from snakemake_repro.errors import EnvironmentBuildError, EnvironmentSpecError, StorageError
from snakemake_repro.operations.export import Exported, export
from snakemake_repro.operations.lock import lock

pytestmark = pytest.mark.integration

LONG = "a-directory-whose-name-is-so-long-that-no-kernel-reads-the-first-line-of-a-script-there"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel that the tests of this module share and leave as it is."""
    return make_channel(tmp_path_factory.mktemp("channel") / "test")


@pytest.fixture(scope="module")
def url(channel: Path) -> Iterator[str]:
    """Its address on the loopback interface."""
    with serve(channel) as address:
        yield address


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose packages are there after the first test."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def below() -> Image:
    """An image with what programs of the channel need."""
    return make_image("python", label="below")


def _env_file(folder: Path, url: str, *packages: str, platform: str | None = None) -> Path:
    path = folder / "tools.yaml"
    lines = "".join(f"  - {package}\n" for package in packages)
    path.write_text(f"channels: [{url}]\ndependencies:\n{lines}")
    lock([path], platforms=[platform] if platform else ())
    return path


@pytest.fixture(scope="module")
def env_file(tmp_path_factory: pytest.TempPathFactory, url: str) -> Path:
    """A locked environment file with a bit of everything."""
    packages = ("python", "greet", "activated", "tool", "linked", "pip: [tabulate]")
    return _env_file(tmp_path_factory.mktemp("envs"), url, *packages)


@pytest.fixture(scope="module")
def exported(env_file: Path, store: Path, below: Image) -> Exported:
    """The image of that environment on the archive of another one."""
    folder = env_file.parent
    save_image(below, folder / "base.tar")
    return export(
        env_file, folder / "one.tar", workdir=folder, store=store, base="base.tar", tag="lab/x"
    )


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    with file:
        return file.read()


def _modes(prefix: Path) -> dict[Path, tuple[int, bytes]]:
    files = [path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink()]
    return {path: (path.stat().st_mode, path.read_bytes()) for path in files}


def _hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_same_lock_and_base_give_the_same_bytes_anywhere(
    exported: Exported, env_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / LONG
    other.mkdir()
    time.sleep(1.1)  # times in archives are whole seconds
    made = NodeEnvironments(other / "store").realise(resolve_spec(env_file, env_file.parent))
    [prefix] = map(Path, made.directories)
    built = _modes(prefix)
    before = os.umask(0o077)
    try:
        again = export(
            env_file,
            other / "two.tar",
            workdir=env_file.parent,
            store=other / "store",
            base="base.tar",
            tag="lab/x:latest",
        )
    finally:
        os.umask(before)
    assert (again.id, again.digest) == (exported.id, exported.digest)
    assert again.path.read_bytes() == exported.path.read_bytes()
    assert exported.size == exported.path.stat().st_size
    left = {path.name for path in other.glob("store/*") if path.is_dir()}
    assert left == {"packages", prefix.name}
    assert _modes(prefix) == built, "nothing is edited that others share"
    assert _hidden(other) == _hidden(env_file.parent) == []


def test_it_is_the_environment_of_the_lock_and_says_nothing_of_where_it_was_made(
    exported: Exported, store: Path
) -> None:
    with tarfile.open(exported.path) as archive:
        names = archive.getnames()
        [saved] = json.loads(_content(archive, "manifest.json"))
        content = _content(archive, saved["Config"])
        manifest = _content(archive, f"blobs/sha256/{exported.digest.value}")
        layer = _content(archive, saved["Layers"][-1])
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        members = {member.name: member for member in archive}
    assert {"index.json", "oci-layout"} <= set(names)
    assert digest(manifest) == str(exported.digest)
    assert digest(content) == str(exported.id) == f"sha256:{saved['Config'].rpartition('/')[2]}"
    env = json.loads(content)["config"]["Env"]
    assert "ACTIVATED_HOME=/opt/env/share/activated" in env
    assert "PATH=/opt/env/bin:/usr/local/bin:/usr/bin:/usr/sbin" in env
    assert "LABEL=below" in env
    packages = {package.name for package in exported.environment.packages}
    assert packages == {"python", "greet", "activated", "tool", "linked", "tabulate"}
    assert {m.mtime for m in members.values()} == {m.uid for m in members.values()} == {0}
    assert not [name for name in members if name.endswith(".pyc") or "__pycache__" in name]
    assert "opt/env/linked.txt" not in members, "link scripts do not run"
    found = exported.path.read_bytes()
    assert os.fsencode(store) not in found
    assert os.fsencode(exported.path.parent) not in found


def test_an_engine_loads_it_and_rules_run_in_it(
    exported: Exported, workspace: Workspace, registry: Registry, engine: Engine
) -> None:
    [image] = engine.client.images.load(exported.path.read_bytes())
    assert image.id == str(exported.id)
    name = f"{registry.host}/lab/exported"
    image.tag(name, "1")
    engine.client.images.push(name, tag="1")
    pushed = engine.client.images.get_registry_data(f"{name}:1").id
    engine.client.images.remove(image.id, force=True)
    workspace.write(
        "Snakefile",
        f"""
        rule a:
            output: "a.txt"
            container: "docker://{name}@{pushed}"
            shell: "{{{{ greet; tool; which python tabulate; echo $ACTIVATED_HOME; }}}} > {{output}}"

        rule b:
            output: "b.txt"
            container: "docker://{name}@{pushed}"
            script: "b.py"
        """,
    )
    workspace.write(
        "b.py", "import greet, tabulate\nopen(snakemake.output[0], 'w').write(tabulate.__file__)\n"
    )
    workspace.ok("a", "b")
    assert (workspace.root / "a.txt").read_text().split() == [
        *("greet", "2.0", "tool", "2.0"),
        *("/opt/env/bin/python", "/opt/env/bin/tabulate", "/opt/env/share/activated"),
    ]
    assert (workspace.root / "b.txt").read_text().startswith("/opt/env/lib/")


@pytest.fixture
def bases(tmp_path: Path, below: Image, registry: Registry) -> list[str]:
    """The base as an archive of another kind, and by its digest."""
    pushed = registry.push(below, "lab/below", "1")
    layout = save_layout(below, tmp_path / "layout.tar")
    return [str(layout), f"{registry.host}/lab/below@{pushed}"]


@pytest.mark.usefixtures("engine")
def test_the_same_base_may_be_an_archive_of_either_kind_or_a_digest(
    exported: Exported, env_file: Path, tmp_path: Path, store: Path, bases: list[str]
) -> None:
    for base in bases:
        again = export(
            env_file,
            tmp_path / "two.tar",
            workdir=tmp_path,
            store=store,
            base=base,
            tag="lab/x",
        )
        assert again.path.read_bytes() == exported.path.read_bytes(), base
    with pytest.raises(EnvironmentSpecError, match="no image by its digest"):
        export(env_file, tmp_path / "x.tar", workdir=tmp_path, store=store, base="lab/below:1")


def test_a_root_file_system_is_a_base(
    env_file: Path, tmp_path: Path, store: Path, below: Image, engine: Engine
) -> None:
    root = unpack_image(below, tmp_path / "root")
    (root / "run" / "of-this-machine").mkdir(parents=True)
    made = export(env_file, tmp_path / "x.tar", workdir=tmp_path, store=store, base="root")
    [image] = engine.client.images.load(made.path.read_bytes())
    try:
        said = engine.client.containers.run(
            image.id,
            ["sh", "-c", "greet; ls /run"],
            user="1000:1000",
            network_mode="none",
            remove=True,
        )
        assert said == b"greet 2.0\n"
    finally:
        engine.client.images.remove(image.id, force=True)
    with pytest.raises(EnvironmentSpecError, match=r"is no root file system: expected bin/sh"):
        export(env_file, tmp_path / "y.tar", workdir=tmp_path, store=store, base=str(store))
    assert not (tmp_path / "y.tar").exists()
    assert _hidden(tmp_path) == []


def test_programs_that_need_a_loader_need_a_base(
    env_file: Path, url: str, tmp_path: Path, store: Path
) -> None:
    with pytest.raises(EnvironmentSpecError, match=r"bin/\S+ is started by /\S+, which") as no:
        export(env_file, tmp_path / "x.tar", workdir=tmp_path, store=store)
    assert no.value.hint is not None
    assert "--base" in no.value.hint
    assert not (tmp_path / "x.tar").exists()
    assert _hidden(tmp_path) == []
    bare = _env_file(tmp_path, url, "activated")
    made = export(bare, tmp_path / "x.tar", workdir=tmp_path, store=store)
    assert made.path.exists(), "nothing in it is a program"


def test_an_image_for_another_platform_is_made_here_unless_pip_is_needed(
    url: str, tmp_path: Path, store: Path, below: Image
) -> None:
    path = _env_file(tmp_path, url, "tool", platform=OTHER)
    made = export(path, tmp_path / "x.tar", workdir=tmp_path, store=store, platform=OTHER)
    assert made.environment.platform == OTHER
    with tarfile.open(made.path) as archive:
        config = json.loads(_content(archive, f"blobs/sha256/{made.id.value}"))
    assert config["architecture"] == "arm64"
    save_image(below, tmp_path / "base.tar")
    with pytest.raises(EnvironmentSpecError, match="is for amd64, the image is to be for arm64"):
        export(
            path,
            tmp_path / "y.tar",
            workdir=tmp_path,
            store=store,
            platform=OTHER,
            base="base.tar",
        )
    with pytest.raises(EnvironmentBuildError, match="not for linux-ppc64le"):
        export(path, tmp_path / "y.tar", workdir=tmp_path, store=store, platform="linux-ppc64le")
    assert not (tmp_path / "y.tar").exists()


def test_what_cannot_be_written_says_so(env_file: Path, tmp_path: Path, store: Path) -> None:
    with pytest.raises(StorageError, match="cannot write the image"):
        export(env_file, tmp_path / "nowhere" / "x.tar", workdir=tmp_path, store=store)


def test_a_secret_of_a_channel_is_not_in_the_image(
    channel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a-part-of-the-address-that-nobody-may-know"
    served = tmp_path / "served"
    served.mkdir()
    (served / secret).symlink_to(channel)
    with serve(served) as address:
        path = _env_file(tmp_path, f"{address}/{secret}", "activated")
        locked = path.with_name("tools.conda-lock.yml")
        locked.write_text(locked.read_text().replace(secret, "${CHANNEL_TOKEN}"))
        monkeypatch.setenv("CHANNEL_TOKEN", secret)
        made = export(locked, tmp_path / "x.tar", workdir=tmp_path, store=tmp_path / "store")
    content = made.path.read_bytes()
    assert secret.encode() not in content
    assert b"${CHANNEL_TOKEN}" in content
