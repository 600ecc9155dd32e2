"""`repro export`."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snakemake_repro.cli import _command

if TYPE_CHECKING:
    from snakemake_repro.operations.access import Place
    from snakemake_repro.operations.crate import Crate
    from snakemake_repro.operations.documents import Document

_FEW = 5
_MB = 1_000_000


@click.command(cls=_command.Command, epilog=_command.EXIT_CODES)
@click.argument("run", default="latest", metavar="[RUN]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["crate", "intoto", "prov", "openlineage", "jsonl"]),
    required=True,
    help="What to write.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    metavar="PATH",
    help="Where to write it. A crate is a directory, or an archive if PATH ends in .zip.",
)
@click.option(
    "--sign",
    "key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="KEY.pem",
    help="Sign what intoto writes with this private key (Ed25519 or ECDSA).",
)
@click.option("--no-data", is_flag=True, help="Describe the data of jobs in a crate only.")
@click.option(
    "--max-size",
    type=click.FloatRange(min=0),
    metavar="MB",
    help="Describe larger files of data in a crate only.",
)
@click.option(
    "--license",
    "license_name",
    metavar="NAME",
    help="Of a crate: an SPDX identifier or a URL.  [default: the repository's license file]",
)
@click.option("--author", metavar="NAME", help="Of a crate.  [default: who ran it]")
@click.option("--organization", metavar="NAME", help="Of the author; it publishes the crate.")
@click.option("--organization-url", metavar="URL", help="The organization's home.")
@_command.record_options
def export(
    *,
    run: str,
    form: str,
    output: Path,
    key: Path | None,
    no_data: bool,
    max_size: float | None,
    license_name: str | None,
    author: str | None,
    organization: str | None,
    organization_url: str | None,
    place: Place,
    as_json: bool,
) -> int:
    """Write a run in a format that others read.

    A `crate` is a Provenance Run Crate (RO-Crate): code, record, the data that is here as it was
    recorded, and what ties them together. `intoto` writes a statement with SLSA provenance for
    each target of the run, `prov` W3C PROV-JSON, `openlineage` the events of the run and its jobs,
    `jsonl` the lines of the journal. All but `prov` have one JSON object a line.

    RUN is a run as `repro report` takes it. Nothing is written over. Look at what you export
    before you publish it: it names users and hosts.
    """
    from snakemake_repro.cli import _terminal
    from snakemake_repro.errors import UsageError
    from snakemake_repro.logic.crate import About
    from snakemake_repro.operations import access
    from snakemake_repro.operations.crate import export_crate
    from snakemake_repro.operations.documents import Form, export_document

    target = Path(os.path.abspath(output))  # noqa: PTH100 - links stay
    with _terminal.progress("reading the record") as progress:
        index = access.open_record(place, progress)
        run_id = access.find_run(index, run, place.workdir)
    if form != "crate":
        document = export_document(index, run_id, Form(form), target, key=key)
        return _told_document(document, as_json=as_json)
    if key is not None:
        raise UsageError("a key is given for a crate, which is not signed")
    about = About(
        published=dt.datetime.now(dt.UTC).date().isoformat(),
        license=license_name,
        author=author,
        organization=organization,
        organization_url=organization_url,
    )
    limit = None if max_size is None else int(max_size * _MB)
    with _terminal.waiting("writing the crate"):
        crate = export_crate(
            index, run_id, place.workdir, target, about, data=not no_data, limit=limit
        )
    return _told(crate, as_json=as_json)


def _told_document(document: Document, *, as_json: bool) -> int:
    """Say what was written."""
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"document": document})
        return _command.OK
    from snakemake_repro.cli import _text

    run, path = _text.short(document.run_id), _text.name(str(document.path))
    signed = ", signed" if document.signed else ""
    click.echo(f"Run {run} is in {path}: {_text.count(document.lines, 'line')}{signed}.")
    return _command.OK


def _told(crate: Crate, *, as_json: bool) -> int:
    """Say what is in a crate, and what is not."""
    if as_json:
        from snakemake_repro.cli._json import emit

        emit({"crate": crate})
        return _command.OK
    from snakemake_repro.cli import _text

    run, path = _text.short(crate.run_id), _text.name(str(crate.path))
    click.echo(f"Run {run} is in {path}, with {_text.count(crate.files, 'file')} of data.")
    if crate.left_out:
        shown = ", ".join(map(_text.name, crate.left_out[:_FEW]))
        more = ", ..." if len(crate.left_out) > _FEW else ""
        click.echo(f"{_text.count(len(crate.left_out), 'file')} described only: {shown}{more}")
    if crate.obstacle is not None:
        click.echo(f"`repro rerun` cannot repeat it from there: {_text.inert(crate.obstacle)}.")
    return _command.OK
