"""Writes the page of all components: what they are, what they promise, and an example of each."""

from __future__ import annotations

from collections.abc import Iterator

from ktrans.api.spec import KINDS, Kind, Spec
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.options import example_of, yaml_text

_TITLES: dict[Kind, str] = {
    "source": "Sources",
    "sink": "Sinks",
    "table": "Tables of files",
    "decoder": "Decoders",
    "enricher": "Enrichers",
    "format": "Formats",
    "state": "State stores",
    "executor": "Executors",
}


def catalogue_page(catalogue: Catalogue) -> str:
    """Write the page, as Markdown."""
    return "\n".join(_page(catalogue)).rstrip() + "\n"


def _page(catalogue: Catalogue) -> Iterator[str]:
    yield "# Catalogue"
    yield ""
    yield "Written by `make docs` from the components of ktrans and of its plugins. `ktrans components` lists"
    yield "those that are installed, and `ktrans components sink kafka` prints the options of one."
    yield ""
    yield "**Delivery** is what a sink promises across crashes; how it does so, and the tests that prove it, are"
    yield "in [delivery guarantees](guarantees.md). **Stability**: options of `stable` components change with a note"
    yield "in the changelog and a minor version; those of `beta` ones may change in any version before 1.0."
    assert set(_TITLES) == set(KINDS)
    for kind, title in _TITLES.items():
        yield ""
        yield f"## {title}"
        yield ""
        delivers = kind == "sink"
        columns = ["Type", "What it is", *(["Delivery"] if delivers else []), "Stability", "In"]
        yield f"| {' | '.join([*columns, 'Example'])} |"
        yield f"|{'---|' * (len(columns) + 1)}"
        for spec in catalogue.specs(kind):
            yield _row(catalogue, spec, delivers=delivers)


def _row(catalogue: Catalogue, spec: Spec, *, delivers: bool) -> str:
    plugin = catalogue.origin(spec.kind, spec.type).distribution
    place = "ktrans" if plugin == "ktrans" else f"[{plugin}](../plugins/{plugin}/README.md)"
    example = yaml_text(example_of(catalogue.model(spec.kind, spec.type)))
    cells = [
        f"[`{spec.type}`](configuration.md#{spec.kind}-{spec.type})",
        spec.summary,
        *([(spec.delivery or "").replace("_", " ")] if delivers else []),
        spec.stability,
        place,
        f"`{example}`",
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
