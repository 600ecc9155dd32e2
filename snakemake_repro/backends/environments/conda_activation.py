"""What the activation of a conda environment changes: found out once, and not in each job."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path

from snakemake_repro.errors import EnvironmentBuildError

_PATH_END = "/repro-search-path-of-the-caller"
_SHELL = "/bin/bash"
_NOT_OURS = ("_", "PWD", "OLDPWD", "SHLVL", "PATH")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Activation:
    """What an activation changes.

    Attributes:
        path: What comes first in the search path.
        variables: All others.
    """

    path: str
    variables: Mapping[str, str]

    def moved(self, old: Path, new: Path) -> Activation:
        """Return it for the environment at another place."""
        return Activation(
            path=self.path.replace(str(old), str(new)),
            variables={k: v.replace(str(old), str(new)) for k, v in self.variables.items()},
        )


def activation(prefix: Path, name: str) -> Activation:
    """Run the scripts that packages bring for the activation of an environment.

    Args:
        prefix: Of the environment.
        name: Likewise, for messages.

    Raises:
        EnvironmentBuildError: One of them fails.
    """
    from rattler.shell import ActivationVariables, Shell, activate

    variables = ActivationVariables(None, [_PATH_END])
    script = activate(prefix, variables, Shell.bash).script
    start = {"PATH": "/usr/bin:/bin", "HOME": str(prefix), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [_SHELL, "--noprofile", "--norc", "-c", f"{script}\nexec /usr/bin/env -0"],
        env=start,
        cwd=prefix,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise EnvironmentBuildError(
            f"the environment {name} cannot be built: its activation ended with status "
            f"{done.returncode}: {said[0]}",
            hint="A script below etc/conda/activate.d of one of its packages failed.",
        )
    pairs = (item.decode(errors="replace").partition("=") for item in done.stdout.split(b"\0"))
    after = {key: value for key, _, value in pairs if key}
    path = after.get("PATH", "").partition(f":{_PATH_END}")[0]
    changed = {
        key: value
        for key, value in after.items()
        if key not in _NOT_OURS and start.get(key) != value
    }
    return Activation(path=path or str(prefix / "bin"), variables=changed)
