"""Variables that would let another environment leak into one of ours."""

from __future__ import annotations

from collections.abc import Mapping

_LEAKS = frozenset(
    (
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PYTHONUSERBASE",
        "R_LIBS",
        "R_LIBS_SITE",
        "R_LIBS_USER",
        "PERLLIB",
        "PERL5LIB",
        "JULIA_LOAD_PATH",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_CONFIG_PATH",
        "JUPYTER_DATA_DIR",
        "JUPYTER_PATH",
        "CONDA_PREFIX",
        "CONDA_DEFAULT_ENV",
        "CONDA_SHLVL",
        "VIRTUAL_ENV",
        "__PYVENV_LAUNCHER__",
    )
)


def without_leaks(base: Mapping[str, str]) -> dict[str, str]:
    """Return variables without those that name files of another environment."""
    return {name: value for name, value in base.items() if name not in _LEAKS}
