"""`ktrans components`: lists the components that pipelines are built from."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

from ktrans.api.spec import KINDS
from ktrans.cli.pipelines import catalogue
from ktrans.kit.cli import json_option, show_json, table, width

if TYPE_CHECKING:
    from ktrans.api.spec import Kind, Spec
    from ktrans.registry.catalogue import Catalogue
    from ktrans.registry.options import Option


@click.command("components")
@click.argument("kind", type=click.Choice(KINDS), required=False, metavar="[KIND]")
@click.argument("name", required=False, metavar="[TYPE]")
@json_option
def command(kind: Kind | None, name: str | None, as_json: bool) -> None:
    """List the available sources, decoders, enrichers, formats, sinks, tables, states and executors.

    KIND is source, decoder, enricher, format, sink, table, state or executor. With KIND and TYPE: the
    options of that component.
    """
    found = catalogue()
    if kind and name:
        _one(found, kind, name, as_json=as_json)
        return
    specs = [spec for k in KINDS if kind in {None, k} for spec in found.specs(k)]
    if as_json:
        show_json({"components": [_json(found, spec) for spec in specs]})
        return
    rows = [
        [
            spec.kind,
            spec.type,
            spec.stability,
            (spec.delivery or "").replace("_", " "),
            spec.summary,
        ]
        for spec in specs
    ]
    click.echo(table(["kind", "type", "stability", "delivery", "summary"], rows))


def _json(found: Catalogue, spec: Spec) -> dict[str, Any]:
    plugin = found.origin(spec.kind, spec.type)
    return {
        "kind": spec.kind,
        "type": spec.type,
        "summary": spec.summary,
        "stability": spec.stability,
        "delivery": spec.delivery,
        "finite": spec.finite if spec.kind == "source" else None,
        "distribution": plugin.distribution,
        "version": plugin.version,
    }


def _one(found: Catalogue, kind: Kind, name: str, *, as_json: bool) -> None:
    from ktrans.registry.options import list_options

    spec = found.spec(kind, name)
    model = found.model(kind, name)
    listed = list_options(model, model.nested)
    if as_json:
        show_json({**_json(found, spec), "options": listed})
        return
    plugin = found.origin(kind, name)
    click.echo(f"{click.style(f'{kind} {name}', bold=True)}: {spec.summary}")
    facts = [spec.stability, f"from {plugin.origin}"]
    if spec.delivery:
        facts.insert(1, spec.delivery.replace("_", " "))
    click.echo(f"{', '.join(facts)}\n")
    if not listed:
        click.echo("It has no options.")
    for option in listed:
        click.echo(_option(option, min(width(), 100)))


def _option(option: Option, room: int) -> str:
    default = "required" if option.required else f"default {json.dumps(option.default)}"
    if option.default is None and not option.required:
        default = "optional"
    lines = [f"  {click.style(option.name, bold=True)}  {option.type}; {default}"]
    indent = " " * 6
    lines += textwrap.wrap(
        option.description, room, initial_indent=indent, subsequent_indent=indent
    )
    if option.examples:
        example = json.dumps(option.examples[0], ensure_ascii=False)
        lines.append(f"{indent}for example {option.name}: {example}")
    return "\n".join(lines)
