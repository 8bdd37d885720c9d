"""`ktrans validate`: is a pipeline file right?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ktrans.api import ConfigErrors, KtransError
from ktrans.cli.common import (
    catalogue,
    chosen_profile,
    debug_option,
    json_option,
    profile_option,
)
from ktrans.cli.failures import error_json, show_error, show_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ktrans.api import Where
    from ktrans.config.model import Pipeline
    from ktrans.engine.assembly import Assembly
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
@profile_option
@json_option
@debug_option
def command(configs: tuple[str, ...], connect: bool, as_json: bool) -> int:
    """Check pipeline files without moving any data.

    Loads each file, or all files of a folder, builds its components and carries the schema through
    every stage: a missing column or a type that a sink cannot store is found here. A pipeline that
    has profiles is checked under each, unless one is chosen.
    """
    found = catalogue()
    told: list[dict[str, Any]] = []
    code = 0
    for config in configs:
        for entry, errors in _checked(config, found, connect=connect):
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


def _checked(
    config: str, found: Catalogue, *, connect: bool
) -> Iterator[tuple[dict[str, Any], list[KtransError]]]:
    """Check each pipeline of a file or folder, and each under all its profiles.

    What is wrong whatever the profile is told once.
    """
    from ktrans.config.draft import LoadOptions
    from ktrans.config.load import Loaded, all_drafts, flatten_errors, take_name

    wanted, unread = LoadOptions(profile=chosen_profile()), Loaded()
    names: dict[tuple[str | None, str], Where] = {}
    for draft in all_drafts([config], wanted, unread):
        seen: set[str] = set()
        for variant in draft.variants(wanted):
            entry: dict[str, Any] = {"config": str(draft.path), "profile": variant.chosen}
            errors: list[KtransError] = []
            try:
                file = draft.load(variant, found)
                entry["profile"] = file.profile
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
    from ktrans.tools.preview import show_samples

    assembly = assemble(pipeline, found, ephemeral=connect)
    try:
        errors = assembly.check() if connect else []
        if connect and not errors:
            errors += show_samples(assembly)
        return {**entry, **_describe(pipeline, assembly)}, list(errors)
    finally:
        assembly.close()


def _describe(pipeline: Pipeline, assembly: Assembly) -> dict[str, Any]:
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
        "state": assembly.state.where,
    }


def _show(entry: dict[str, Any], *, connect: bool) -> None:
    if "name" not in entry:
        return
    head = click.style("ok", fg="green") if entry["ok"] else click.style("not ok", fg="red")
    profile = f", profile {entry['profile']}" if entry["profile"] else ""
    asked = "; the outside was asked" if connect and entry["ok"] else ""
    click.echo(f"{head}  {entry['config']} ({entry['name']}{profile}{asked})")
    click.echo(f"    source    {entry['source']}")
    for stage in entry["stages"]:
        name = stage["name"]
        text = f"decoder   {entry['decoder']}" if name == "decoder" else _enricher(name)
        click.echo(f"    {text}: {len(stage['columns'])} columns")
    for sink in entry["sinks"]:
        kind = sink["type"] if sink["id"] == sink["type"] else f"{sink['id']} ({sink['type']})"
        promise = _DELIVERY.get(sink["delivery"], sink["delivery"])
        where = f", where {sink['where']}" if sink["where"] else ""
        click.echo(f"    sink      {kind}: {len(sink['columns'])} columns{where}; {promise}")
    click.echo(f"    rejects   {entry['rejects']}")


def _enricher(name: str) -> str:
    return f"enricher  {name.split(' ', 1)[-1]}"
