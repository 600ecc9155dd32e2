"""Images of Dockerfiles: how a rule names one, and what is locked of it."""

from __future__ import annotations

import pytest

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.builds import Build, BuiltImage, is_dockerfile, repository_name
from snakemake_repro.logic.images import ImageLock, moved
from snakemake_repro.records import Digest

ONE, TWO, THREE = (Digest(character * 64) for character in "123")
BUILD = Build(
    dockerfile=ONE,
    context=TWO,
    images={
        "linux/amd64": BuiltImage(id=THREE, pushed=f"lab:5000/tools@{ONE}"),
        "linux/arm64": BuiltImage(id=ONE),
    },
)
LOCK = ImageLock(images={"x:1": {"linux/amd64": ONE}}, builds={"envs/tools.Dockerfile": BUILD})


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("envs/tools.Dockerfile", True),
        ("Dockerfile", True),
        ("../docker/Dockerfile.gpu", True),
        ("docker/Containerfile", True),
        ("docker://lab/Dockerfile", False),
        ("envs/x.sif", False),
        ("Dockerfile/x", False),
    ],
)
def test_a_path_that_ends_like_one_is_a_dockerfile(address: str, *, expected: bool) -> None:
    assert is_dockerfile(address) is expected


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("envs/tools.Dockerfile", "tools"),
        ("docker/My_Aligner/Dockerfile", "my-aligner"),
        ("Dockerfile.gpu", "gpu"),
        ("Dockerfile", "image"),
        ("../Containerfile", "image"),
    ],
)
def test_a_registry_calls_it_after_its_stem_or_directory(name: str, repository: str) -> None:
    assert repository_name(name) == repository


def test_a_lock_with_builds_is_read_as_it_was_written() -> None:
    assert ImageLock.parse(LOCK.to_text(), name="x") == LOCK
    assert LOCK.only("x:1").builds == {}
    assert LOCK.only_build("envs/tools.Dockerfile").images == {}
    assert "builds" not in LOCK.only("x:1").to_text()
    broken = LOCK.to_text().replace(f"    context: {TWO}\n", "")
    with pytest.raises(EnvironmentSpecError, match="is no lock of container images"):
        ImageLock.parse(broken, name="x")


def test_a_push_changes_nothing_for_jobs() -> None:
    images = {place: BuiltImage(id=one.id) for place, one in BUILD.images.items()}
    unpushed = Build(dockerfile=ONE, context=TWO, images=images)
    assert unpushed.identity == BUILD.identity
    assert moved(LOCK, LOCK.with_build("envs/tools.Dockerfile", unpushed)) == ()
    other = Build(dockerfile=ONE, context=TWO, images={"linux/amd64": BuiltImage(id=TWO)})
    assert other.identity != BUILD.identity
    [(name, old, new)] = moved(LOCK, LOCK.with_build("envs/tools.Dockerfile", other))
    assert name == "envs/tools.Dockerfile"
    assert (old, new) == (f"sha256:{'1' * 12}, sha256:{'3' * 12}", f"sha256:{'2' * 12}")


def test_a_platform_that_it_was_not_built_for_is_refused() -> None:
    assert BUILD.image("linux/arm64", name="x") == BuiltImage(id=ONE)
    with pytest.raises(EnvironmentSpecError, match="built for linux/amd64, linux/arm64, this"):
        BUILD.image("linux/ppc64le", name="x")
