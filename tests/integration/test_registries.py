"""Registries that are asked without Docker's help: what a tag means, with and without credentials."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from containers import BASIC, PASSWORD, Registry, make_image
from containers import registry as private_registry
from runs import Workspace
from tokens import ISSUER, SERVICE, TokenServer

from snakemake_repro.backends.containers.registry import platforms
from snakemake_repro.backends.environments.imagelock import NAME
from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.images import ImageLock, ImageName

pytestmark = pytest.mark.integration

REPRO = (sys.executable, "-m", "snakemake_repro.cli")
PODMAN = ("--ray-container-engine", "podman")


@pytest.fixture(autouse=True)
def no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is logged in."""
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))


def _look_up(name: str) -> dict[str, str]:
    found = platforms(ImageName.parse(f"docker://{name}"))
    return {place: str(digest) for place, digest in found.items()}


def test_podman_locks_a_tag_and_runs_what_it_meant(
    lonely: Workspace, registry: Registry, podman: str
) -> None:
    image = f"{registry.host}/lab/podmans:1"
    lonely.environ["CONTAINER_HOST"] = podman
    lonely.write(
        "Snakefile",
        f"rule a:\n    output: 'a.txt'\n    container: 'docker://{image}'\n"
        "    shell: 'cat /etc/label > {output}'\n",
    )
    first = registry.push(make_image("busybox", label="first"), "lab/podmans", "1")
    done = lonely.ok(*PODMAN)
    assert f"Locked the container {image} as {first}" in done.output
    second = registry.push(make_image("busybox", label="second"), "lab/podmans", "1")
    lonely.ok(*PODMAN, "--forceall")
    assert (lonely.root / "a.txt").read_text() == "first\n"
    upgraded = subprocess.run(
        [*REPRO, "lock", "--upgrade", image, "--container-engine", "podman"],
        cwd=lonely.root,
        env=lonely.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert upgraded.returncode == 0, upgraded.stderr
    lock = ImageLock.parse((lonely.root / "envs" / NAME).read_text(), name=NAME)
    assert {str(one) for one in lock.images[image].values()} == {second}


def test_an_index_is_locked_for_every_platform_that_it_names(registry: Registry) -> None:
    made = {
        name: registry.push(make_image("busybox", architecture=name), "lab/many", name)
        for name in ("amd64", "arm64")
    }
    index = registry.push_index("lab/many", "1", made)
    assert _look_up(f"{registry.host}/lab/many:1") == {"linux/amd64": index, "linux/arm64": index}
    assert _look_up(f"{registry.host}/lab/many:arm64") == {"linux/arm64": made["arm64"]}


@pytest.mark.parametrize("place", ["docker", "podman"])
def test_a_registry_gets_the_credentials_of_a_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with private_registry(tmp_path / "registry", private=True) as registry:
        digest = registry.push(make_image("busybox"), "lab/private", "1")
        image = f"{registry.host}/lab/private:1"
        with pytest.raises(EnvironmentSpecError, match="unauthorized: ") as caught:
            _look_up(image)
        assert "`podman login`" in str(caught.value.hint)
        config = json.dumps({"auths": {registry.host: {"auth": BASIC}}})
        if place == "docker":
            (tmp_path / "docker").mkdir()
            (tmp_path / "docker/config.json").write_text(config)
        else:
            (tmp_path / "auth.json").write_text(config)
            monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
        assert _look_up(image) == {"linux/amd64": digest}


def test_a_registry_that_wants_a_token_gets_one(tmp_path: Path) -> None:
    with private_registry(tmp_path / "registry") as filled:
        digest = filled.push(make_image("busybox"), "lab/token", "1")
    with TokenServer(tmp_path / "tokens") as tokens:
        auth = (
            f"auth: {{token: {{realm: '{tokens.realm}', service: {SERVICE}, issuer: {ISSUER}, "
            f"rootcertbundle: {tokens.certificate}}}}}\n"
        )
        with Registry(tmp_path / "registry", auth=auth) as registry:
            image = f"{registry.host}/lab/token:1"
            with pytest.raises(EnvironmentSpecError, match="unauthorized: "):
                _look_up(image)
            (tmp_path / "docker").mkdir()
            config = json.dumps({"auths": {registry.host: {"auth": BASIC}}})
            (tmp_path / "docker/config.json").write_text(config)
            assert _look_up(image) == {"linux/amd64": digest}


def test_wrong_credentials_are_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with private_registry(tmp_path / "registry", private=True) as registry:
        wrong = {"username": "lab", "password": f"{PASSWORD}-of-old"}
        (tmp_path / "containers").mkdir()
        config = json.dumps({"auths": {registry.host: wrong}})
        (tmp_path / "containers/auth.json").write_text(config)
        with pytest.raises(EnvironmentSpecError, match="unauthorized: ") as caught:
            _look_up(f"{registry.host}/lab/private:1")
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{host}/lab/nothing:1", "manifest unknown"),
        ("127.0.0.1:9/lab/small:1", "does not answer (Connection refused)"),
        ("lab/small:1", "its name does not say which registry has it"),
    ],
    ids=["no image", "no registry", "no host"],
)
def test_what_cannot_be_looked_up_says_why(registry: Registry, name: str, said: str) -> None:
    with pytest.raises(EnvironmentSpecError) as caught:
        _look_up(name.format(host=registry.host))
    assert said in caught.value.message
    assert caught.value.hint
