"""`ktrans validate`: checks pipeline files."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from ktrans.api import ConfigErrors, KtransError
from ktrans.cli.failures import error_json, show_error
from ktrans.cli.pipelines import catalogue, chosen_profile, profile_option
from ktrans.kit.cli import json_option, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ktrans.api import Where
    from ktrans.config.model import Pipeline
    from ktrans.engine.assembly import Assembly
    from ktrans.registry.catalogue import Catalogue

_DELIVERY = {
    "exactly_once": "every row exactly once",
    "at_least_once": "every row at least once",
    None: "no guarantee",
}


@click.command("validate")
@click.argument("configs", type=click.Path(), nargs=-1, required=True, metavar="CONFIG...")
@click.option("--connect", is_flag=True, help="Also check paths, hosts, permissions and tables.")
@profile_option
@json_option
def command(configs: tuple[str, ...], connect: bool, as_json: bool) -> int:
    """Check pipeline files without moving any data.

    Loads each file, or all files of a folder, builds its components and passes the schema through
    every stage, which finds missing columns and types that a sink cannot store. A pipeline with
    profiles is checked with each of them, unless one is chosen.
    """
    found = catalogue()
    entries: list[dict[str, Any]] = []
    code = 0
    for config in configs:
        for entry, errors in _check_all(config, found, connect=connect):
            entry["ok"] = not errors
            entry["errors"] = [error_json(error) for error in errors]
            warnings = entry.pop("warnings", ())
            entry["warnings"] = [error_json(warning) for warning in warnings]
            entries.append(entry)
            code = code or (errors[0].exit_code if errors else 0)
            if not as_json:
                _show(entry, connect=connect)
                for problem in errors:
                    show_error(problem)
                for warning in warnings:
                    show_error(warning, level="warning")
    if as_json:
        show_json({"pipelines": entries})
    return code


def _check_all(
    config: str, found: Catalogue, *, connect: bool
) -> Iterator[tuple[dict[str, Any], list[KtransError]]]:
    """Check each pipeline of a file or folder with each of its profiles.

    Yields a description and the errors; an error that several profiles have is only in the first.
    """
    from ktrans.config.draft import LoadOptions
    from ktrans.config.load import Loaded, all_drafts, flatten_errors, take_name
    from ktrans.engine.examine import examine

    wanted, unread = LoadOptions(profile=chosen_profile(), examine=examine), Loaded()
    names: dict[tuple[str | None, str], Where] = {}
    for draft in all_drafts([config], wanted, unread):
        seen: set[str] = set()
        for variant in draft.variants(wanted):
            entry: dict[str, Any] = {"config": str(draft.path), "profile": variant.chosen}
            errors: list[KtransError] = []
            try:
                file = draft.load(variant, found)
                entry["profile"] = file.profile
                entry["warnings"] = file.pipeline.warnings
                take_name(names, file.profile, file.pipeline.name, file.document)
                entry, errors = _check(entry, file.pipeline, found, connect=connect)
            except KtransError as error:
                errors += flatten_errors(error) if isinstance(error, ConfigErrors) else [error]
            new = [one for one in errors if f"{one.where} {one.message}" not in seen]
            seen.update(f"{one.where} {one.message}" for one in errors)
            if new or not errors:
                yield entry, new
    for path, wrong in unread.wrong:
        yield {"config": str(path), "profile": None}, [wrong]


def _check(
    entry: dict[str, Any], pipeline: Pipeline, found: Catalogue, *, connect: bool
) -> tuple[dict[str, Any], list[KtransError]]:
    from ktrans.engine.assemble import assemble
    from ktrans.tools.preview import check_samples

    with closing(assemble(pipeline, found, ephemeral=connect)) as assembly:
        errors = assembly.check() if connect else []
        if connect and not errors:
            errors += check_samples(assembly)
        return {**entry, **_describe(pipeline, assembly)}, list(errors)


def _describe(pipeline: Pipeline, assembly: Assembly) -> dict[str, Any]:
    from ktrans.engine.placement import placement

    found = placement(assembly)
    stages = [{"name": name, "columns": list(schema.names)} for name, schema in assembly.schemas]
    sinks = [
        {
            "id": bound.entry.id,
            "type": bound.entry.config.type,
            "delivery": bound.delivery,
            "where": bound.entry.where,
            "columns": list(bound.schema.names),
        }
        for bound in assembly.sinks
    ]
    return {
        "name": pipeline.name,
        "source": pipeline.source.type,
        "decoder": pipeline.decoder.type,
        "stages": stages,
        "sinks": sinks,
        "rejects": pipeline.rejects.config.type,
        "expect": [rule.name for rule in pipeline.expect],
        "violations": pipeline.violations.config.type if pipeline.violations else None,
        "state": assembly.state.where,
        "spreads_over": found.to_json(),
    }


def _show(entry: dict[str, Any], *, connect: bool) -> None:
    if "name" not in entry:
        return
    head = click.style("ok", fg="green") if entry["ok"] else click.style("not ok", fg="red")
    profile = f", profile {entry['profile']}" if entry["profile"] else ""
    connected = "; connections checked" if connect and entry["ok"] else ""
    click.echo(f"{head}  {entry['config']} ({entry['name']}{profile}{connected})")
    click.echo(f"    source    {entry['source']}")
    for stage in entry["stages"]:
        text = f"decoder   {entry['decoder']}"
        if stage["name"] != "decoder":
            text = f"enricher  {stage['name'].split(' ', 1)[-1]}"
        click.echo(f"    {text}: {len(stage['columns'])} columns")
    for sink in entry["sinks"]:
        kind = sink["type"] if sink["id"] == sink["type"] else f"{sink['id']} ({sink['type']})"
        delivery = _DELIVERY.get(sink["delivery"], sink["delivery"])
        where = f", where {sink['where']}" if sink["where"] else ""
        click.echo(f"    sink      {kind}: {len(sink['columns'])} columns{where}; {delivery}")
    if entry["expect"]:
        rules = f"{len(entry['expect'])} rule{'s' if len(entry['expect']) > 1 else ''}"
        click.echo(f"    expect    {rules}; violations to {entry['violations']}")
    click.echo(f"    rejects   {entry['rejects']}")
    click.echo(f"    spreads   over {entry['spreads_over']['text']}")
