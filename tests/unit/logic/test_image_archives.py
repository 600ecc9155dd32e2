"""The documents of an image: from its content alone."""

from __future__ import annotations

import hashlib
import json

from snakemake_repro.logic.image_archives import (
    Blob,
    architecture,
    image_config,
    oci_manifest,
    tables,
)
from snakemake_repro.records import Digest

LOWER = Blob(digest=Digest("a" * 64), size=10)
UPPER = Blob(digest=Digest("b" * 64), size=20)
CONFIG = Blob(digest=Digest("c" * 64), size=30)


def test_platforms_have_their_names_in_images() -> None:
    names = [architecture(f"linux-{name}") for name in ("64", "aarch64", "ppc64le", "s390x")]
    assert names == ["amd64", "arm64", "ppc64le", "s390x"]


def test_a_configuration_extends_that_of_its_base() -> None:
    base = {
        "Env": ["PATH=/usr/bin", "LANG=C", "KEEP=a=b"],
        "Labels": {"vendor": "lab"},
        "WorkingDir": "/data",
    }
    text = image_config(
        [LOWER, UPPER],
        machine="amd64",
        path="/opt/env/bin",
        variables={"LANG": "C.UTF-8"},
        labels={"mine": "1"},
        base=base,
    )
    found = json.loads(text)
    assert found["config"] == {
        "Env": ["KEEP=a=b", "LANG=C.UTF-8", "PATH=/opt/env/bin:/usr/bin"],
        "Labels": {"vendor": "lab", "mine": "1"},
        "WorkingDir": "/data",
    }
    assert found["rootfs"]["diff_ids"] == [str(LOWER.digest), str(UPPER.digest)]
    assert found["created"] == "1970-01-01T00:00:00Z"


def test_without_a_base_the_usual_search_path_follows() -> None:
    text = image_config([UPPER], machine="arm64", path="/opt/env/bin", variables={}, labels={})
    [path] = json.loads(text)["config"]["Env"]
    assert path.startswith("PATH=/opt/env/bin:/usr/local/sbin:")


def test_both_tables_name_the_same_blobs() -> None:
    text = oci_manifest(CONFIG, [LOWER, UPPER])
    manifest = Blob(digest=Digest(hashlib.sha256(text).hexdigest()), size=len(text))
    files = tables(CONFIG, [LOWER, UPPER], manifest, tag="lab/x:1")
    [saved] = json.loads(files["manifest.json"])
    assert saved["Config"] == CONFIG.place == f"blobs/sha256/{'c' * 64}"
    assert saved["Layers"] == [LOWER.place, UPPER.place]
    assert saved["RepoTags"] == ["lab/x:1"]
    [entry] = json.loads(files["index.json"])["manifests"]
    assert (entry["digest"], entry["size"]) == (str(manifest.digest), len(text))
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "1"
    described = json.loads(text)
    assert described["config"]["digest"] == str(CONFIG.digest)
    assert [layer["size"] for layer in described["layers"]] == [10, 20]
    untagged = tables(CONFIG, [LOWER], manifest, tag=None)
    assert json.loads(untagged["manifest.json"])[0]["RepoTags"] is None
    assert "annotations" not in json.loads(untagged["index.json"])["manifests"][0]
