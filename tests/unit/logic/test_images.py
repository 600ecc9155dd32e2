"""Names of container images, and the lock that says which bytes they mean."""

from __future__ import annotations

import pytest

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.images import ImageLock, ImageName, moved
from snakemake_repro.records import Digest

ONE, TWO = Digest("1" * 64), Digest("2" * 64)


@pytest.mark.parametrize(
    ("address", "repository", "tag", "digest"),
    [
        ("docker://debian", "debian", "latest", None),
        ("docker://debian:12-slim", "debian", "12-slim", None),
        ("docker://lab/tools/x:1.0_b", "lab/tools/x", "1.0_b", None),
        ("docker://127.0.0.1:5000/x", "127.0.0.1:5000/x", "latest", None),
        ("docker://localhost:5000/a/b:1", "localhost:5000/a/b", "1", None),
        ("docker://Registry.Example.com/x:1", "Registry.Example.com/x", "1", None),
        ("docker://[::1]:5000/x:1", "[::1]:5000/x", "1", None),
        (f"docker://x@{ONE}", "x", "latest", ONE),
        (f"docker://h:1/x:3@{ONE}", "h:1/x", "3", ONE),
    ],
)
def test_an_address_names_repository_tag_and_digest(
    address: str, repository: str, tag: str, digest: Digest | None
) -> None:
    image = ImageName.parse(address)
    assert (image.repository, image.tag, image.digest) == (repository, tag, digest)
    assert image.text == f"{repository}:{tag}"
    assert image.at(TWO) == f"{repository}@{TWO}"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("x.sif", "expected an address that begins with docker://"),
        ("library://x", "expected an address that begins with docker://"),
        ("docker://", "is not the address of an image"),
        ("docker://lab/UPPER", "is not the address of an image"),
        ("docker://x:", "is not the address of an image"),
        ("docker://x:a b", "is not the address of an image"),
        ("docker://-x", "is not the address of an image"),
        ("docker://x@sha256:12", "has a digest that is none"),
        ("docker://x@md5:1", "has a digest that is none"),
        ("docker://x@", "has a digest that is none"),
    ],
)
def test_what_is_no_address_of_an_image_is_refused(address: str, message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=message) as caught:
        ImageName.parse(address)
    assert caught.value.hint


LOCK = ImageLock(
    images={
        "z:1": {"linux/amd64": ONE},
        "h:5000/a:2": {"linux/arm64": TWO, "linux/amd64": ONE},
    }
)
TEXT = f"""\
version: 1
images:
  "h:5000/a:2":
    linux/amd64: {ONE}
    linux/arm64: {TWO}
  "z:1":
    linux/amd64: {ONE}
"""


def test_a_lock_is_the_same_text_for_the_same_content_and_reads_back() -> None:
    text = LOCK.to_text()
    assert text.endswith(TEXT)
    assert all(line.startswith("#") for line in text.removesuffix(TEXT).splitlines())
    assert ImageLock.parse(text, name="x").to_text() == text
    assert ImageLock.parse(ImageLock().to_text(), name="x") == ImageLock(images={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no lock of container images"),
        ("[]", "is no lock of container images"),
        ("version: 1\nimages: {a: {linux/amd64: x}}", "expected a digest"),
        ("version: 1\nimages: [a]", "is no lock of container images"),
        ("version: 1\n\timages: {}", "is no lock of container images"),
        ("version: 2\nimages: {}", "has version 2, expected 1"),
    ],
)
def test_what_is_no_lock_or_a_newer_one_is_refused(text: str, message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=message):
        ImageLock.parse(text, name="envs/x.lock.yml")


def test_a_job_gets_what_its_image_needs_of_a_lock() -> None:
    assert LOCK.only("z:1").images == {"z:1": {"linux/amd64": ONE}}
    assert LOCK.digest("h:5000/a:2", "linux/arm64", name="x") == TWO
    with pytest.raises(EnvironmentSpecError, match="has the container z:1 for linux/amd64, this"):
        LOCK.digest("z:1", "linux/arm64", name="x")


def test_what_moved_is_named_with_its_old_and_its_new_digest() -> None:
    new = LOCK.with_image("z:1", {"linux/amd64": TWO}).with_image("n:1", {"linux/amd64": ONE})
    assert moved(LOCK, new) == (
        ("n:1", None, f"sha256:{'1' * 12}"),
        ("z:1", f"sha256:{'1' * 12}", f"sha256:{'2' * 12}"),
    )
    assert moved(LOCK, LOCK) == ()
    assert LOCK.images["z:1"] == {"linux/amd64": ONE}, "what was given is left alone"
