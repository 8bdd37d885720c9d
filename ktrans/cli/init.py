"""`ktrans init`: writes a pipeline file that validates."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktrans.cli.common import catalogue, debug_option

if TYPE_CHECKING:
    from ktrans.registry.catalogue import Catalogue
    from ktrans.tools.new_pipeline import Section

SAMPLED = 20


@click.command("init")
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path), default="pipeline.yaml")
@click.option("--from", "origin", metavar="PLACE", help="Where the logs lie.")
@click.option("--to", "goals", metavar="PLACE", multiple=True, help="Where rows go; repeat.")
@click.option("--name", help="The pipeline's name; the file's name by default.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@debug_option
def command(
    output: Path, origin: str | None, goals: tuple[str, ...], name: str | None, force: bool
) -> int:
    """Write a pipeline file with comments, and the schema that editors check it by.

    A PLACE is a path, s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix,
    kafka://host:9092/topic, http(s)://host:8086 (InfluxDB, for --to), or - for a pipe. What is not
    given is asked for on a terminal. Local logs are looked at to choose the decoder.
    """
    from ktrans.api import UsageError
    from ktrans.tools.new_pipeline import pipeline_text, sink_at, source_at

    if output.exists() and not force:
        raise UsageError(f"{output} is there already", hint="take another name, or --force")
    origin = origin or _asked("Where do the logs lie?", "logs/", "--from")
    goals = goals or (_asked("Where should the rows go?", "lake/", "--to"),)
    found = catalogue()
    source, sinks = source_at(origin), [sink_at(goal) for goal in goals]
    decoder, seen = _sampled(origin, output, found)
    text = pipeline_text(name or _name(output), source, sinks, decoder, seen)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, "utf-8")
    _write_schema(output.with_name("ktrans.schema.json"), found)
    click.echo(f"{output} is written")
    _tell_plugins([source, *sinks], found)
    return _validated(output, found)


def _asked(question: str, default: str, option: str) -> str:
    from ktrans.api import UsageError

    if not sys.stdin.isatty():
        raise UsageError(f"{option} is missing", hint="ktrans init --help lists what it may be")
    return str(click.prompt(question, default=default))


def _name(output: Path) -> str:
    kept = "".join(char if char.isalnum() else "-" for char in output.stem).strip("-")
    return kept or "pipeline"


def _sampled(origin: str, output: Path, found: Catalogue) -> tuple[str, list[str]]:
    """Look at some local logs: give the decoder to take, and what was seen."""
    from ktrans.tools.recognise import recognised

    place = output.parent / origin
    if "://" in origin or origin == "-":
        return "auto", ["each object is looked at, and the receipt says what was found"]
    if not (place.exists() or any(char in origin for char in "*?[")):
        return "auto", [f"nothing is there yet at {origin}: each file will be looked at"]
    counted = Counter(recognised(origin, output.parent, found, SAMPLED).values())
    seen = [f"in a sample: {number} x {name}" for name, number in counted.most_common()]
    if len(counted) == 1 and (only := next(iter(counted))) != "unknown":
        return only, seen
    return "auto", seen or ["each file is looked at, and the receipt says what was found"]


def _write_schema(path: Path, found: Catalogue) -> None:
    from ktrans.config.schema import pipeline_schema

    path.write_text(json.dumps(pipeline_schema(found)) + "\n", "utf-8")


def _tell_plugins(sections: list[Section], found: Catalogue) -> None:
    installed = {plugin.distribution for plugin in found.plugins()}
    missing = sorted({section.plugin for section in sections if section.plugin} - installed)
    if missing:
        click.echo(f"it needs plugins: pip install {' '.join(missing)}")


def _validated(output: Path, found: Catalogue) -> int:
    """Validate what was written, so that a surprise comes now."""
    from ktrans.config.load import load_pipeline
    from ktrans.engine.assemble import assemble

    assemble(load_pipeline(output, found), found).close()
    click.echo(f"it is valid; next: ktrans preview {output}")
    return 0
