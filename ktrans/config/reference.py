"""The reference pages, made from the models and the flow schema themselves.

`python -m ktrans.config.reference config > docs/configuration.md`,
`python -m ktrans.config.reference flow > docs/flow-schema.md` and so on write them; a test compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ktrans.api.spec import KINDS, Kind, Spec
from ktrans.config.model import EngineSettings, LimitSettings, RejectLimit
from ktrans.config.pipeline_tests import Case
from ktrans.config.sections import REJECTS_KEYS, SECTIONS, SINK_KEYS
from ktrans.registry.options import Option, list_options

if TYPE_CHECKING:
    from ktrans.registry.catalogue import Catalogue

_KIND_TEXT: dict[Kind, str] = {
    "source": "Where the bytes come from: the section `source`.",
    "decoder": "How the bytes become rows: the section `decoder`.",
    "enricher": "What happens to the rows: each item of the list `enrichers`.",
    "format": "How rows look as bytes: the option `format` of sinks.",
    "sink": "Where rows go: each item of the list `sinks`, and the section `rejects`.",
    "state": "Where a pipeline remembers what it has done: the section `state`; `sqlite` if it has no "
    "`type`.",
}

_KIND_TITLE: dict[Kind, str] = {"state": "State stores"}


def configuration_page(catalogue: Catalogue) -> str:
    """Write the reference of every section and every component, as Markdown."""
    return "\n".join(_configuration(catalogue)).rstrip() + "\n"


def _configuration(catalogue: Catalogue) -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "Written by `python -m ktrans.config.reference config` from the models. `ktrans schema`"
    yield "prints the same as JSON Schema, `ktrans components KIND TYPE` one component of it."
    yield ""
    yield "A pipeline is one YAML 1.2 file. Relative paths are relative to the file. In texts"
    yield "`${env:NAME}`, `${env:NAME:-default}` and `${file:/path}` are filled in after parsing;"
    yield "Sizes and durations are texts with a unit: `128 MB` (B, kB, MB, GB, TB, or KiB, MiB, GiB, TiB"
    yield "for powers of 1024), `90s`, `10m`, `1h30m` (ms, s, m, h, d). A bare number is bytes or seconds."
    yield ""
    yield "`$$` is a dollar sign. Sections whose name begins with `x-` are free for anchors."
    yield ""
    yield "| Section | What it is |"
    yield "|---|---|"
    for name, text in SECTIONS.items():
        yield f"| `{name}` | {text} |"
    yield ""
    for kind in KINDS:
        yield f"## {_KIND_TITLE.get(kind, f'{kind.capitalize()}s')}"
        yield ""
        yield _KIND_TEXT[kind]
        yield ""
        if kind == "sink":
            yield "Every sink also takes:"
            yield ""
            yield "| Option | What it is |"
            yield "|---|---|"
            for name, text in SINK_KEYS.items():
                yield f"| `{name}` | {text} |"
            yield ""
        for spec in catalogue.specs(kind):
            yield from _component(catalogue, spec)
    yield "## Rejects"
    yield ""
    yield f"Any sink, and `limit`: {REJECTS_KEYS['limit']}"
    yield ""
    yield from _table(list_options(RejectLimit))
    for title, model in (
        ("Limits", LimitSettings),
        ("Engine", EngineSettings),
        ("Tests", Case),
    ):
        yield f"## {title}"
        yield ""
        yield SECTIONS[title.lower()]
        yield ""
        yield from _table(list_options(model))


def _component(catalogue: Catalogue, spec: Spec) -> Iterator[str]:
    model = catalogue.model(spec.kind, spec.type)
    yield f"### {spec.kind} `{spec.type}`"
    yield ""
    facts: list[str] = [spec.stability]
    if spec.delivery:
        facts.append(spec.delivery.replace("_", " "))
    if spec.kind == "source" and not spec.finite:
        facts.append("never ends by itself")
    plugin = catalogue.origin(spec.kind, spec.type).distribution
    comes = "" if plugin == "ktrans" else f" Comes with `pip install {plugin}`."
    yield f"{spec.summary} ({', '.join(facts)}).{comes}"
    yield ""
    found = list_options(model, model.nested)
    if found:
        yield from _table(found)
    else:
        yield "It has no options."
        yield ""


def _table(found: list[Option]) -> Iterator[str]:
    yield "| Option | Type | Default | What it is | Example |"
    yield "|---|---|---|---|---|"
    for option in found:
        default = "required" if option.required else _code(option.default)
        example = _code(option.examples[0]) if option.examples else ""
        text = option.description.replace("|", "\\|").replace("\n", " ")
        kind = option.type.replace("|", "\\|")
        yield f"| `{option.name}` | {kind} | {default} | {text} | {example} |"
    yield ""


def _code(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "\\|") if text.strip("`") else '`""`'


def flow_columns() -> list[dict[str, str]]:
    """Give the flow schema's columns as plain data."""
    from ktrans.flow.schema import COLUMNS

    return [
        {
            "name": column.name,
            "type": arrow_text(column.type),
            "unit": column.unit,
            "description": column.description,
            "source": column.source,
            "role": column.role,
        }
        for column in COLUMNS
    ]


def arrow_text(kind: Any) -> str:
    """Name an Arrow type shortly: what a column holds matters, how it is coded does not."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_timestamp(kind):
        return f"timestamp[{kind.unit}{', ' + kind.tz if kind.tz else ''}]"
    if pa.types.is_map(kind):
        return f"map of {arrow_text(kind.key_type)} to {arrow_text(kind.item_type)}"
    return str(kind)


def flow_page() -> str:
    """Write the reference of the flow schema, as Markdown."""
    from ktrans.flow.schema import SCHEMA_VERSION

    lines = [
        "# The flow schema",
        "",
        "Written by `python -m ktrans.config.reference flow` from `ktrans/flow/schema.py`.",
        f"This is version {SCHEMA_VERSION}.",
        "",
        "One row is one observation of one 5-tuple at one capture point in one window. Null means",
        "that the log did not report it, never 0, an empty text or a dash.",
        "",
        "| Column | Type | Unit or values | Meaning | AWS |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c['name']}` | {c['type']} | {c['unit']} | {c['description']} | {c['source']} |"
        for c in flow_columns()
    ]
    return "\n".join(lines) + "\n"


def _errors(catalogue: Catalogue) -> Iterator[str]:
    from ktrans.registry.explanations import explanations

    yield "# Errors"
    yield ""
    yield "Written by `python -m ktrans.config.reference errors` from the codes that the program"
    yield "knows. A code stands in brackets in messages (`error[reject_limit]`), and in receipts,"
    yield "rejects and metrics; `ktrans explain CODE` prints its entry."
    heading = ""
    for explanation in explanations(catalogue):
        if explanation.title != heading:
            heading = explanation.title
            yield ""
            yield f"## {heading}"
        yield ""
        yield f"### `{explanation.code}`"
        yield ""
        yield explanation.cause
        yield ""
        yield f"What to do: {explanation.cure}"


def main(arguments: list[str]) -> None:
    """Print a page."""
    from ktrans.registry.catalogue import first_party

    if arguments == ["flow"]:
        sys.stdout.write(flow_page())
    elif arguments == ["mapping"]:
        from ktrans.config.reference_mapping import mapping_page

        sys.stdout.write(mapping_page())
    elif arguments == ["errors"]:
        sys.stdout.write("\n".join(_errors(first_party())) + "\n")
    elif arguments == ["config"]:
        sys.stdout.write(configuration_page(first_party()))
    else:
        raise SystemExit("usage: python -m ktrans.config.reference config|flow|mapping|errors")


if __name__ == "__main__":
    main(sys.argv[1:])
