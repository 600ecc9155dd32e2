"""Write the reference pages of the wrappers from their ``meta.yaml`` and test Snakefiles.

``python -m snakemake_repro.wrappers.reference docs/reference/wrappers`` writes them; a test fails
when they are not what this module makes of the wrappers as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent
_PARTS = {"input": "Input", "output": "Output", "params": "Parameters"}
_INTRO = """\
# Wrappers

Rules that need no script of their own. Each records its metrics under any executor.

```python
from snakemake_repro import wrapper as repro
```

| wrapper | what it does |
|---|---|
"""


def pages() -> dict[str, str]:
    """Return the text of every page by its file name."""
    metas = {name: _meta(name) for name in sorted(_names())}
    index = _INTRO + "".join(
        f"| [{name}]({_file(name)}) | {meta['description'].strip()} |\n"
        for name, meta in metas.items()
    )
    return {"README.md": index} | {_file(name): _page(name, meta) for name, meta in metas.items()}


def _names() -> list[str]:
    return [path.parent.relative_to(_ROOT).as_posix() for path in _ROOT.rglob("meta.yaml")]


def _file(name: str) -> str:
    return f"{name.replace('/', '-')}.md"


def _meta(name: str) -> Mapping[str, Any]:
    import yaml

    meta: Mapping[str, Any] = yaml.safe_load((_ROOT / name / "meta.yaml").read_text())
    return meta


def _page(name: str, meta: Mapping[str, Any]) -> str:
    text = f"# {name}\n\n{meta['description'].strip()}\n"
    for part, title in _PARTS.items():
        text += f"\n## {title}\n\n"
        text += "| name | meaning |\n|---|---|\n" if meta[part] else "None.\n"
        for entry in meta[part]:
            for key, meaning in entry.items():
                text += f"| `{key}` | {meaning} |\n"
    text += f"\n## Notes\n\n{meta['notes'].strip()}\n"
    example = (_ROOT / name / "test" / "Snakefile").read_text().strip()
    text += f"\n## Example\n\n```python\n{example}\n```\n"
    return text + _packages(name)


def _packages(name: str) -> str:
    import yaml

    environment = yaml.safe_load((_ROOT / name / "environment.yaml").read_text())
    (packages,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    return f"\n## Environment\n\n{', '.join(f'`{package}`' for package in packages)}\n"


def main(arguments: list[str]) -> None:
    """Write the pages into the folder that is the only argument."""
    (folder,) = map(Path, arguments)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
