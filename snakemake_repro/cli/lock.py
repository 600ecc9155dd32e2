"""`repro lock`."""

from __future__ import annotations

from pathlib import Path

import click

from snakemake_repro.cli import _command

_EVERYTHING = "*"
_SUFFIXES = (".yaml", ".yml")


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("files", nargs=-1, metavar="[FILE...]", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where a lock is not fit.")
@click.option(
    "--upgrade",
    "upgrades",
    is_flag=False,
    flag_value=_EVERYTHING,
    multiple=True,
    metavar="[NAME]",
    help="Move this package to its newest version, or this container image to what its tag means "
    "now, or build it anew from its Dockerfile; or everything.",
)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="NAME",
    help="Lock conda packages for this platform as well, e.g. linux-aarch64.",
)
@click.option(
    "--push",
    metavar="HOST/NAME",
    help="Push images that are built here below this place of a registry, where nodes can pull "
    "them.",
)
@_command.engine_option("Who looks up what the name of an image means")
@_command.workdir_option
@_command.output_options
def lock(
    *,
    files: tuple[Path, ...],
    check: bool,
    upgrades: tuple[str, ...],
    platforms: tuple[str, ...],
    push: str | None,
    engine: str,
    workdir: Path,
    as_json: bool,
) -> int:
    """Lock environment files and container images to exact versions and digests.

    Of `envs/x.yaml` the lock is `envs/x.conda-lock.yml` if it asks for conda packages, else
    `envs/x.requirements.lock`; commit both. Without FILE every environment file in a directory
    called `envs` is locked, and in `envs/containers.lock.yml` every image that a rule of the
    workflow names in `container:`. What is locked stays locked until it is upgraded. An image whose
    Dockerfile a rule names is built, and built again when that changed or a file beside it.
    """
    if check and (upgrades or push):
        option = "--upgrade" if upgrades else "--push"
        raise click.UsageError(f"--check changes nothing, {option} does: give one of them.")
    from snakemake_repro.backends.files import recorded_path
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations.environment_files import find_environment_files
    from snakemake_repro.operations.images import ImagesLocked, lock_workflow_images
    from snakemake_repro.operations.lock import lock

    # `--upgrade FILE` reads as if FILE were a package
    named = [workdir / name for name in upgrades if name.endswith(_SUFFIXES)]
    chosen = [workdir / file for file in files] + named
    names = [name for name in upgrades if not name.endswith(_SUFFIXES) and name != _EVERYTHING]
    everything = _EVERYTHING in upgrades
    with _terminal.waiting("locking"):
        images = ImagesLocked()
        if not chosen:
            images = lock_workflow_images(
                workdir,
                engine=engine,
                check=check,
                upgrade=everything,
                upgrade_names=names,
                push=push,
            )
            chosen = find_environment_files(
                workdir, needed=images.locked is None and images.unread is None
            )
            if not chosen and images.unread is not None:
                raise images.unread
        locked = lock(
            chosen,
            check=check,
            upgrade=bool(named) or everything,
            upgrade_packages=[name for name in names if name not in images.names],
            platforms=platforms,
        )
    if images.locked is not None:
        locked = (*locked, images.locked)
    if images.unread is not None:
        problem = _text.inert(images.unread.render(), lines=True)
        click.echo(f"Containers were not looked for: {problem}", err=True)
    current = all(one.current for one in locked)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"locks": locked, "current": current})
        return _command.OK if current else _command.DIFFERS
    for one in locked:
        click.echo(f"{one.state:9}  {_text.name(recorded_path(one.lock, workdir))}")
        for package, old, new in one.moved:
            click.echo(f"           {_text.inert(package)} {old or '(new)'} -> {new or '(gone)'}")
    if not current:
        click.echo("Run `repro lock` to bring the locks up to date.")
    return _command.OK if current else _command.DIFFERS
