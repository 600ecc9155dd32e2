"""`repro env`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.text import Text

    from snakemake_repro.operations.environments import Stored

_KEY = 12
_DAYS = 30.0


def _store_option(command: Callable[..., int]) -> Callable[..., int]:
    return click.option(
        "--store",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The store, as with --ray-environment-store.  [default: the user's]",
    )(command)


@click.group(cls=_command.Group)
def env() -> None:
    """See, build, use, export and remove the environments on this node."""


@env.command("list", cls=_command.Command, epilog=_command.EXIT_CODES)
@_store_option
@_command.workdir_option
@_command.output_options
def list_(*, store: Path | None, workdir: Path, as_json: bool) -> int:
    """List what is realised on this node, the most recently used first."""
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations.environments import show

    with _terminal.waiting("looking"):
        found = show(store and workdir / store)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"environments": found})
        return _command.OK
    if not found:
        click.echo("There is no environment on this node yet.")
        return _command.OK
    table = _terminal.table(
        "environment", ("name", "fold"), "kind", "python", ("size", "right"), "last used"
    )
    for one in found:
        kind = "unfinished" if one.record is None else one.record.kind.value
        python = None if one.record is None else one.record.python
        used = "-" if one.used is None else _text.moment(one.used, brief=True)
        table.add_row(
            _terminal.plain(one.key[:_KEY], "cyan"),
            _name(one),
            _terminal.plain(kind),
            _terminal.plain(python or "-"),
            _text.size(one.size),
            _terminal.plain("now" if one.busy else used),
        )
    _terminal.console().print(table)
    return _command.OK


@env.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("files", nargs=-1, metavar="[FILE...]", type=click.Path(path_type=Path))
@_store_option
@_command.workdir_option
@_command.output_options
def build(*, files: tuple[Path, ...], store: Path | None, workdir: Path, as_json: bool) -> int:
    """Build environments on this node ahead of a run, from their locks.

    Without FILE those of every environment file in a directory called `envs`.
    """
    from snakemake_repro.backends.files import recorded_path
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations.environment_files import find_environment_files
    from snakemake_repro.operations.environments import build

    chosen = [workdir / file for file in files] or find_environment_files(workdir)
    with _terminal.progress("building") as progress:
        made = build(chosen, workdir=workdir, store=store and workdir / store, progress=progress)
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"environments": made})
        return _command.OK
    for one in made:
        name = _text.name(recorded_path(one.source, workdir))
        key = one.record.digest.value[:_KEY]
        click.echo(f"{key}  {_text.duration(one.seconds):>8}  {name}")
    return _command.OK


@env.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument(
    "directories",
    nargs=-1,
    metavar="[DIR...]",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--unused-for",
    type=click.FloatRange(min=0),
    default=_DAYS,
    show_default=True,
    metavar="DAYS",
    help="Keep what was used in the last DAYS days.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would be removed.")
@_store_option
@_command.workdir_option
@_command.output_options
def gc(
    *,
    directories: tuple[Path, ...],
    unused_for: float,
    dry_run: bool,
    store: Path | None,
    workdir: Path,
    as_json: bool,
) -> int:
    """Remove the environments that no lock in reach names.

    In reach are the locks below DIR, by default below here. What is in use stays, and what was
    used lately.
    """
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations.environments import Fate, collect

    with _terminal.waiting("looking"):
        found = collect(
            [workdir / directory for directory in directories] or [workdir],
            store=store and workdir / store,
            unused_for=unused_for,
            dry_run=dry_run,
        )
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"environments": found, "dry_run": dry_run})
        return _command.OK
    gone = [one.environment for one in found if one.fate is Fate.REMOVED]
    table = _terminal.table("environment", ("name", "fold"), ("size", "right"), "")
    for one in found:
        style = "yellow" if one.fate is Fate.REMOVED else ""
        key = _terminal.plain(one.environment.key[:_KEY], "cyan")
        size = _text.size(one.environment.size)
        table.add_row(key, _name(one.environment), size, _terminal.plain(one.fate, style))
    if found:
        _terminal.console().print(table)
    verb = "would be removed" if dry_run else "removed"
    click.echo(f"{len(gone):,} {verb}, {_text.size(sum(one.size for one in gone))}.")
    return _command.OK


@env.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="IMAGE.tar",
    help="Where to write the image.  [default: FILE's name with .tar, here]",
)
@click.option(
    "--base",
    metavar="BASE",
    help="What the image is built on, which has libc and a shell: a directory with an unpacked "
    "root file system, an archive of an image, or NAME@DIGEST of an image.",
)
@click.option(
    "--platform",
    metavar="NAME",
    help="Make it for this platform of the lock, e.g. linux-aarch64.  [default: this one]",
)
@click.option("--tag", metavar="NAME[:TAG]", help="What an engine calls the image that loads it.")
@_store_option
@_command.workdir_option
@_command.output_options
def export(
    *,
    file: Path,
    output: Path | None,
    base: str | None,
    platform: str | None,
    tag: str | None,
    store: Path | None,
    workdir: Path,
    as_json: bool,
) -> int:
    """Write a container image with the environment of FILE's conda lock.

    The same lock and base give the same image, wherever and whenever it is made. `docker load`
    and `podman load` read it, and so do tools that push to a registry.
    """
    from snakemake_repro.cli import _terminal, _text
    from snakemake_repro.operations.export import export

    with _terminal.waiting("exporting"):
        made = export(
            workdir / file,
            workdir / (output or f"{file.name.partition('.')[0]}.tar"),
            workdir=workdir,
            store=store and workdir / store,
            platform=platform,
            base=base,
            tag=tag,
        )
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({field.name: getattr(made, field.name) for field in dataclasses.fields(made)})
        return _command.OK
    size = _text.size(made.size)
    click.echo(f"Wrote {_text.name(str(made.path))} ({size}), the image {made.id}.")
    return _command.OK


@env.command(cls=_command.Command)
@click.argument("file", metavar="FILE")
@click.argument("command", nargs=-1, metavar="[-- COMMAND...]", type=click.UNPROCESSED)
@_store_option
@_command.engine_option("Who is to open the container named here")
@_command.workdir_option
@_command.verbose_option
def shell(
    *, file: str, command: tuple[str, ...], store: Path | None, engine: str, workdir: Path
) -> int:
    """Run COMMAND in the environment of FILE's lock, by default a shell.

    The environment is built first if this node does not have it. FILE may also be the name of a
    container, docker://NAME, which is pulled by the digest that its lock has, and sees the working
    directory. The exit code is the command's.
    """
    from snakemake_repro.cli import _terminal
    from snakemake_repro.logic.images import SCHEME

    if file.startswith(SCHEME):
        from snakemake_repro.operations.container_shell import run_in_container

        return run_in_container(
            file,
            command,
            workdir=workdir,
            store=store and workdir / store,
            engine=engine,
            waiting=lambda: _terminal.waiting("pulling"),
        )
    from snakemake_repro.operations.environments import run

    return run(
        workdir / file,
        command,
        workdir=workdir,
        store=store and workdir / store,
        waiting=lambda: _terminal.waiting("building"),
    )


def _name(one: Stored) -> Text:
    from snakemake_repro.cli import _terminal

    return _terminal.name(None if one.record is None else one.record.name)
