"""Pin files and pixi's locks: every package by its SHA-256, or one clear refusal."""

from __future__ import annotations

from typing import Any

import pytest

from snakemake_repro.errors import EnvironmentSpecError
from snakemake_repro.logic.conda_pins import parse_pins, parse_pixi_lock

TOOL = "https://example.org/channel/linux-64/my-tool-1.0-h0_0.conda"
SIX = "https://example.org/six-1.16.0-py2.py3-none-any.whl"
PINS = f"""# platform: linux-64
@EXPLICIT
{TOOL}#sha256:{"a" * 64}
# pip six @ {SIX}#sha256={"c" * 64}
"""


def _pixi(**entry: Any) -> dict[str, Any]:
    return {
        "version": 6,
        "environments": {
            "default": {
                "channels": [{"url": "https://example.org/channel/"}],
                "packages": {"linux-64": [{"conda": TOOL}, {"pypi": SIX}]},
            }
        },
        "packages": [
            {"conda": TOOL, "sha256": "a" * 64, "md5": "b" * 32, **entry},
            {"pypi": SIX, "name": "six", "version": "1.16.0", "sha256": "c" * 64},
        ],
    }


def test_pins_and_pixi_say_the_same() -> None:
    lock = parse_pins(PINS, platform="linux-64", name="x.linux-64.pin.txt")
    assert lock == parse_pixi_lock(_pixi(), name="x.pixi.lock")
    assert lock.platforms == ("linux-64",)
    assert [(f.manager, f.name, f.version, f.build, f.sha256.value[0]) for f in lock.files] == [
        ("conda", "my-tool", "1.0", "h0_0", "a"),
        ("pip", "six", "1.16.0", None, "c"),
    ]
    assert lock.spec is None, "nobody knows what it was made from"


def test_a_digest_may_stand_alone_behind_the_address() -> None:
    text = PINS.replace("#sha256:", "#")
    assert text != PINS
    assert parse_pins(text, platform="linux-64", name="x") == parse_pins(
        PINS, platform="linux-64", name="x"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@EXPLICIT\n", "", "expected the line @EXPLICIT"),
        ("sha256:" + "a" * 64, "b" * 32, "my-tool-1.0-h0_0.conda has an MD5 only"),
        ("#sha256:" + "a" * 64, "", "my-tool-1.0-h0_0.conda has no SHA-256"),
        (TOOL, "linux-64/tool-1.0-0.conda", "comes from no channel or index"),
        ("1.0-h0_0.conda", "1.0.conda.gz", "is no conda package"),
        ("-py2.py3-none-any.whl", ".tar.gz", "six-1.16.0.tar.gz is no wheel"),
        ("https://example.org/six", "git+https://example.org/six", "no channel or index"),
    ],
)
def test_pins_that_identify_nothing_are_refused(old: str, new: str, message: str) -> None:
    text = PINS.replace(old, new)
    assert text != PINS
    with pytest.raises(EnvironmentSpecError, match=message):
        parse_pins(text, platform="linux-64", name="x.linux-64.pin.txt")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "expected version 6 of pixi's format, got None"),
        ({"version": 5}, "expected version 6 of pixi's format, got 5"),
        ({**_pixi(), "environments": {}}, "it is damaged"),
        (_pixi(sha256=None), "has no SHA-256"),
        (_pixi(sha256="0"), "has the SHA-256 '0'"),
    ],
)
def test_pixi_locks_that_identify_nothing_are_refused(data: Any, message: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=message):
        parse_pixi_lock(data, name="x.pixi.lock")
