"""`ktrans init`: writes a valid pipeline file."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrans.cli.pipelines import catalogue
from ktrans.kit.cli import cannot_write, output_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from ktrans.registry.catalogue import Catalogue
    from ktrans.tools.places import Section

SAMPLED = 20


@click.command("init")
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path), default="pipeline.yaml")
@click.option("--from", "origin", metavar="PLACE", help="Where the logs are.")
@click.option(
    "--to", "targets", metavar="PLACE", multiple=True, help="Where the rows go; may be repeated."
)
@click.option("--name", help="The pipeline's name; the file's name by default.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
def command(
    output: Path, origin: str | None, targets: tuple[str, ...], name: str | None, force: bool
) -> None:
    """Write a pipeline file with comments, and the JSON Schema of pipeline files for editors.

    A PLACE is a path, relative to the current folder, s3://bucket/prefix, gs://bucket/prefix,
    az://account/container/prefix, kafka://host:9092/topic, or - for a pipe; for everything else TYPE+URL,
    such as prometheus+https://host/api/v1/write, or TYPE: alone, such as postgres:, to fill in.
    `ktrans components` lists the types. Missing options are asked for on a terminal. The decoder is chosen
    from a sample of local logs. For time-series databases the file has a rollup.
    """
    from ktrans.api import UsageError
    from ktrans.config.schema import pipeline_schema
    from ktrans.tools.new_pipeline import pipeline_text
    from ktrans.tools.places import sink_at, source_at

    if os.path.lexists(output) and not force:
        raise UsageError(f"{output} exists already", hint="choose another name, or use --force")
    found, folder = catalogue(), output.parent
    if origin is not None:
        source = source_at(origin, folder, found)
    else:
        source = _ask("Where are the logs?", "logs/", "--from", source_at, folder, found)
    if targets:
        sinks = [sink_at(target, folder, found) for target in targets]
    else:
        sinks = [_ask("Where should the rows go?", "lake/", "--to", sink_at, folder, found)]
    decoder, seen = _sample_decoder(source, folder, found)
    text = pipeline_text(name or _name_from(output), source, sinks, decoder, seen)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(output, error) from error
    _write(output, text)
    _write(output.with_name("ktrans.schema.json"), json.dumps(pipeline_schema(found)) + "\n")
    click.echo(f"{output} written")
    _show_missing_plugins([source, *sinks], found)
    _validate(output, found)


def _ask(
    question: str,
    default: str,
    option: str,
    at: Callable[[str, Path, Catalogue], Section],
    folder: Path,
    found: Catalogue,
) -> Section:
    """Ask for a place until there is a source or sink for it."""
    from ktrans.api import KtransError, UsageError

    if not sys.stdin.isatty():
        raise UsageError(
            f"{option} is missing", hint="`ktrans init --help` lists the possible values"
        )
    while True:
        place = str(click.prompt(question, default=default))
        try:
            return at(place, folder, found)
        except KtransError as error:
            click.echo(f"{error.message}; {error.hint}" if error.hint else error.message, err=True)


def _name_from(output: Path) -> str:
    kept = re.sub(r"[^A-Za-z0-9]", "-", output.stem)[:100].strip("-")
    return kept or "pipeline"


def _sample_decoder(source: Section, folder: Path, found: Catalogue) -> tuple[str, list[str]]:
    """Look at some local logs; return the decoder to use, and comments about what was found."""
    from ktrans.tools.new_pipeline import detect_decoders

    if not source.local:
        return "auto", ["the format of each object is detected; the receipt lists what was found"]
    origin = source.local
    place = os.path.abspath(folder / os.path.expanduser(origin))  # noqa: PTH100, PTH111  # without `..`
    if not (Path(place).exists() or any(char in origin for char in "*?[")):
        return "auto", [f"{origin} does not exist yet: the format of each file will be detected"]
    counted = Counter(detect_decoders(place, folder, found, SAMPLED).values())
    seen = [f"in a sample: {number} x {name}" for name, number in counted.most_common()]
    if len(counted) == 1 and (only := next(iter(counted))) != "unknown":
        return only, seen
    return "auto", seen or ["the format of each file is detected; the receipt lists what was found"]


def _write(path: Path, text: str) -> None:
    with output_file(path) as out:
        out.write(text.encode())


def _show_missing_plugins(sections: list[Section], found: Catalogue) -> None:
    installed = {plugin.distribution for plugin in found.plugins()}
    missing = sorted({section.plugin for section in sections if section.plugin} - installed)
    if missing:
        click.echo(f"it needs plugins: pip install {' '.join(missing)}")


def _validate(output: Path, found: Catalogue) -> None:
    """Validate the new file, so that errors show now."""
    from ktrans.config.load import load_pipeline
    from ktrans.engine.assemble import assemble

    assemble(load_pipeline(output, found), found).close()
    click.echo(f"it is valid; next: ktrans preview {shlex.quote(str(output))}")
