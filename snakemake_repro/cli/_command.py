"""What all commands share: common options, exit codes, and how errors are said."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from snakemake_repro.errors import (
    EnvironmentSpecError,
    NotFoundError,
    ReproError,
    UsageError,
    VerificationError,
)

OK, DIFFERS, UNDECIDED, OPERATIONAL = 0, 1, 2, 3
_ENGINES = ("docker", "podman", "apptainer")
"""As the records know them, which are not imported to show help."""

_INTERRUPTED = 128 + 2
_BROKEN_PIPE = 128 + 13
_VERBOSE = "snakemake_repro.verbose"

EXIT_CODES = """\b
Exit codes:
  0  fine
  1  something differs or failed
  2  wrong usage, nothing of that name, or it cannot be decided
  3  something broke: storage, network, an unreadable record
"""

_F = TypeVar("_F", bound=Callable[..., Any])


class Group(click.Group):
    """The ``repro`` command: its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands, most used first."""
        return list(self.commands)


class Command(click.Command):
    """A command that returns its exit code and says errors in one voice."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; every error becomes a message and an exit code."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except (click.exceptions.Exit, click.ClickException):
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(_INTERRUPTED)
        except BrokenPipeError:
            # whoever read our output has seen enough; nothing may be written to it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(_BROKEN_PIPE)
        except ReproError as exc:
            _say(ctx, type(exc).__name__, exc.message, exc.hint)
            ctx.exit(_code(exc))
        except Exception as exc:  # noqa: BLE001 - the last resort, converted to a message
            hint = "This is a mistake in repro. --verbose shows where; please report it."
            _say(ctx, "InternalError", f"unexpected {type(exc).__name__}: {exc}", hint)
            ctx.exit(OPERATIONAL)
        ctx.exit(code if isinstance(code, int) else OK)


def _code(exc: ReproError) -> int:
    if isinstance(exc, VerificationError):
        return DIFFERS
    if isinstance(exc, UsageError | NotFoundError | EnvironmentSpecError):
        return UNDECIDED
    return OPERATIONAL


def _say(ctx: click.Context, kind: str, message: str, hint: str | None) -> None:
    from snakemake_repro.cli._text import inert

    if ctx.meta.get(_VERBOSE):
        click.echo(inert(traceback.format_exc(), lines=True), err=True)
    if ctx.params.get("as_json"):
        from snakemake_repro.cli._json import emit

        emit({"error": {"kind": kind, "message": message, "hint": hint}})
    click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(inert(message, lines=True), err=True)
    if hint is not None:
        click.secho("Hint: ", bold=True, nl=False, err=True)
        click.echo(inert(hint, lines=True), err=True)


def workdir_option(command: _F) -> _F:
    """Add ``--workdir``."""
    return click.option(
        "-C",
        "--workdir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=Path(),
        callback=lambda _ctx, _param, value: Path(os.path.abspath(value)),  # noqa: PTH100 - links stay
        metavar="DIR",
        help="Work as if started in DIR.  [default: here]",
    )(command)


def verbose_option(command: _F) -> _F:
    """Add ``--verbose``."""
    return click.option(
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=lambda ctx, _param, value: ctx.meta.update({_VERBOSE: value}),
        help="Show where an error comes from.",
    )(command)


def engine_option(what: str) -> Callable[[_F], _F]:
    """Add ``--container-engine``.

    Args:
        what: The engine is for, in the help.
    """
    return click.option(
        "--container-engine",
        "engine",
        type=click.Choice(_ENGINES),
        default=_ENGINES[0],
        show_default=True,
        help=f"{what}; as --ray-container-engine.",
    )


def output_options(command: _F) -> _F:
    """Add ``--json`` and ``--verbose``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(
        verbose_option(command)
    )


def record_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add what every command has that reads a record: where it is, and how to answer.

    The command is called with a ``place``.
    """

    @functools.wraps(command)
    def called(
        *args: Any,
        workdir: Path,
        store: Path | None,
        tracking_uri: str | None,
        experiment: str | None,
        **kwargs: Any,
    ) -> int:
        from snakemake_repro.operations.access import Place

        place = Place(
            workdir=workdir, store=store, tracking_uri=tracking_uri, experiment=experiment
        )
        return command(*args, place=place, **kwargs)

    options: tuple[Callable[[Callable[..., int]], Callable[..., int]], ...] = (
        workdir_option,
        click.option(
            "--store",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            callback=lambda _ctx, _param, value: (
                None if value is None else Path(os.path.abspath(value))  # noqa: PTH100
            ),
            metavar="DIR",
            help="Answer from the record of another working directory, or from a `.repro`.",
        ),
        click.option(
            "--tracking-uri",
            metavar="URI",
            help="Answer from this MLflow server or store alone.",
        ),
        click.option(
            "--experiment", metavar="NAME", help="With --tracking-uri: only this experiment."
        ),
        output_options,
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), called)
