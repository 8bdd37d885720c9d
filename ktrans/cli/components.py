"""`ktrans components`: lists the components that pipelines are built from."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ktrans.api.spec import KINDS
from ktrans.cli.pipelines import catalogue
from ktrans.kit.cli import json_option, show_json, table, width

if TYPE_CHECKING:
    from ktrans.api.spec import Kind, Spec
    from ktrans.registry.catalogue import Catalogue
    from ktrans.registry.options import Option

FUNCTION = "function"
"""What stands for the functions of expressions, which are no components."""


@click.command("components")
@click.argument("kind", type=click.Choice([*KINDS, FUNCTION]), required=False, metavar="[KIND]")
@click.argument("name", required=False, metavar="[TYPE]")
@json_option
def command(kind: Any, name: str | None, as_json: bool) -> None:
    """List the available sources, decoders, enrichers, formats, sinks, tables, states and executors.

    KIND is source, decoder, enricher, format, sink, table, state or executor. With KIND and TYPE: the
    options of that component. `function` lists the functions of expressions.
    """
    if kind == FUNCTION:
        _functions(name, as_json=as_json)
        return
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


def _functions(name: str | None, *, as_json: bool) -> None:
    """Show the functions of expressions, or one of them."""
    from ktrans.api import UsageError
    from ktrans.expressions.reference import functions
    from ktrans.registry.suggest import near

    known = {entry.name: entry for entry in functions()}
    if name is not None and name not in known:
        meant = near(name, known)
        hint = f"did you mean {meant}?" if meant else f"there are: {', '.join(known)}"
        raise UsageError(f"there is no function {name!r}", hint=hint)
    chosen = [known[name]] if name else list(known.values())
    if as_json:
        show_json({"functions": [asdict(entry) for entry in chosen]})
        return
    for entry in chosen:
        click.echo(click.style(entry.usage, bold=True))
        indent = " " * 6
        room = min(width(), 100)
        click.echo(
            textwrap.fill(entry.about, room, initial_indent=indent, subsequent_indent=indent)
        )
        for text, value in entry.examples:
            click.echo(f"{indent}{text} is {value}")


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
    from ktrans.registry.options import example_of, list_options, yaml_text

    spec = found.spec(kind, name)
    model = found.model(kind, name)
    listed = list_options(model, model.nested)
    if as_json:
        show_json({**_json(found, spec), "example": example_of(model), "options": listed})
        return
    plugin = found.origin(kind, name)
    click.echo(f"{click.style(f'{kind} {name}', bold=True)}: {spec.summary}")
    facts = [spec.stability, f"from {plugin.origin}"]
    if spec.delivery:
        facts.insert(1, spec.delivery.replace("_", " "))
    click.echo(f"{', '.join(facts)}\n")
    click.echo(f"  {yaml_text(example_of(model))}\n")
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
