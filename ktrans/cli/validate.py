"""`ktrans validate`: is a pipeline file right?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.common import catalogue, debug_option, json_option
from ktrans.cli.failures import error_json, show_error, show_json

if TYPE_CHECKING:
    from ktrans.config.pipeline import Pipeline
    from ktrans.engine.assemble import Assembly
    from ktrans.registry.catalogue import Catalogue

_DELIVERY = {
    "exactly_once": "every row exactly once",
    "at_least_once": "every row at least once",
    None: "no promise",
}


@click.command("validate")
@click.argument("configs", type=click.Path(), nargs=-1, required=True, metavar="CONFIG...")
@click.option(
    "--connect", is_flag=True, help="Also ask the outside: paths, hosts, permissions, tables."
)
@json_option
@debug_option
def command(configs: tuple[str, ...], connect: bool, as_json: bool) -> int:
    """Check pipeline files without moving any data.

    Loads each file, builds its components and carries the schema through every stage: a missing
    column or a type that a sink cannot store is found here.
    """
    from ktrans.api import KtransError

    found = catalogue()
    told: list[dict[str, Any]] = []
    code = 0
    for config in configs:
        try:
            entry, errors = _check(config, found, connect=connect)
        except KtransError as error:
            entry, errors = {"config": config}, [error]
        entry["ok"] = not errors
        entry["errors"] = [error_json(error) for error in errors]
        told.append(entry)
        code = code or (errors[0].exit_code if errors else 0)
        if not as_json:
            _show(entry, connect=connect)
            for problem in errors:
                show_error(problem)
    if as_json:
        show_json({"pipelines": told})
    return code


def _check(config: str, found: Catalogue, *, connect: bool) -> tuple[dict[str, Any], list[Any]]:
    from ktrans.config.load import load_pipeline
    from ktrans.engine.assemble import assemble
    from ktrans.engine.preview import show_samples

    pipeline = load_pipeline(config, found)
    assembly = assemble(pipeline, found, ephemeral=connect)
    try:
        errors = assembly.check() if connect else []
        if connect and not errors:
            errors += show_samples(assembly)
        return _describe(config, pipeline, assembly), list(errors)
    finally:
        assembly.close()


def _describe(config: str, pipeline: Pipeline, assembly: Assembly) -> dict[str, Any]:
    stages = [{"name": name, "columns": list(schema.names)} for name, schema in assembly.schemas]
    sinks = [
        {
            "id": bound.entry.id,
            "type": bound.entry.config.type,
            "delivery": bound.delivery,
            "when": bound.entry.when,
            "columns": list(bound.schema.names),
        }
        for bound in assembly.sinks
    ]
    return {
        "config": config,
        "name": pipeline.name,
        "source": pipeline.source.type,
        "decoder": pipeline.decoder.type,
        "stages": stages,
        "sinks": sinks,
        "rejects": pipeline.rejects.config.type,
        "state": str(pipeline.state_path),
    }


def _show(entry: dict[str, Any], *, connect: bool) -> None:
    if "name" not in entry:
        return
    head = click.style("ok", fg="green") if entry["ok"] else click.style("not ok", fg="red")
    asked = "; the outside was asked" if connect and entry["ok"] else ""
    click.echo(f"{head}  {entry['config']} ({entry['name']}{asked})")
    click.echo(f"    source    {entry['source']}")
    for stage in entry["stages"]:
        name = stage["name"]
        text = f"decoder   {entry['decoder']}" if name == "decoder" else _enricher(name)
        click.echo(f"    {text}: {len(stage['columns'])} columns")
    for sink in entry["sinks"]:
        kind = sink["type"] if sink["id"] == sink["type"] else f"{sink['id']} ({sink['type']})"
        promise = _DELIVERY.get(sink["delivery"], sink["delivery"])
        when = f", when {sink['when']}" if sink["when"] else ""
        click.echo(f"    sink      {kind}: {len(sink['columns'])} columns{when}; {promise}")
    click.echo(f"    rejects   {entry['rejects']}")


def _enricher(name: str) -> str:
    return f"enricher  {name.split(' ', 1)[-1]}"
