"""Writes a new pipeline file for a place to read from and places to write to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ktrans.api import Budget, Context, KtransError, UsageError
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.options import yaml_text
from ktrans.tools.places import Section
from ktrans.tools.preview import NoMemory

SERIES = {"influxdb": "running", "prometheus": "closed"}
"""Sinks that take totals rather than rows, and when they should get one (`emit`)."""


def detect_decoders(
    origin: str, base_dir: Path, catalogue: Catalogue, limit: int
) -> dict[str, str]:
    """Return the decoder of some files, or `unknown`, by URI.

    `origin` is a file, folder or glob, relative to `base_dir`; at most `limit` files are looked
    at.
    """
    context = Context(base_dir=base_dir, registry=catalogue, ephemeral=True)
    config = catalogue.config("source", {"type": "file", "paths": [origin], "tail_wait": 0})
    found: dict[str, str] = {}
    with catalogue.build("source", config, context) as source:
        plan = source.plan(None, NoMemory(), Budget(splits=limit))
        for split in plan.splits if plan else ():
            chosen = catalogue.config("decoder", {"type": "auto"})
            auto = CarrierDecoder(catalogue.build("decoder", chosen, context))
            auto.schema(None)
            try:
                with source.open(split) as payload:
                    next(iter(auto.blocks(payload)), None)
                choice = next(iter(auto.choices().values()), "unknown")
            except (KtransError, OSError):
                choice = "unknown"
            found[split.uri] = choice.partition(":")[0]
    return found


def pipeline_text(
    name: str, source: Section, sinks: Sequence[Section], decoder: str, comments: Iterable[str]
) -> str:
    """Return the text of a pipeline file.

    The comments are about the decoder.

    Raises:
        UsageError: some sinks take totals, and others rows.
    """
    lines = [
        "# yaml-language-server: $schema=ktrans.schema.json",
        "# Check it:  ktrans validate --connect FILE      Look:  ktrans preview FILE",
        "# Try it:    ktrans plan FILE                    Run:   ktrans run FILE",
        f"name: {yaml_text(name)}",
        "source:",
        *_options(source, 2),
        *[f"# {line}" for line in comments],
        "decoder:",
        f"  type: {decoder}",
        "enrichers:",
        *_enrichers(sinks),
        "sinks:",
    ]
    for sink in sinks:
        first, *rest = _options(sink, 4)
        lines += [f"  - {first.strip()}", *rest]
    lines += [
        "rejects:                         # input that cannot be decoded, with its reason",
        "  type: file",
        "  path: rejects/",
    ]
    return "\n".join(lines) + "\n"


def _enrichers(sinks: Sequence[Section]) -> list[str]:
    """Return enrichers to begin with: names of services, or totals for time-series databases."""
    series = [sink.type for sink in sinks if sink.type in SERIES]
    if not series:
        return [
            "  - type: services               # names of services by port and protocol",
            "  # - {type: filter, where: \"action = 'reject' or bytes > 0\"}",
            "  # - {type: cidr, table: networks.csv}    # your own networks, by prefix",
        ]
    rows = [sink.type for sink in sinks if sink.type not in SERIES]
    if rows:
        raise UsageError(
            f"{series[0]} takes totals, and {rows[0]} rows, which needs a pipeline each",
            hint="run `ktrans init` twice, with a file for each",
        )
    emit = "closed" if "closed" in {SERIES[name] for name in series} else "running"
    return [
        "  - type: rollup                 # totals: a point for each row would be too many",
        "    window: 1m",
        "    group_by: [account_id, region, action, protocol]  # each combination is a series",
        "    aggregates: {bytes: sum, packets: sum, flows: count}",
        "    lateness: 15m                # how late logs come",
        f"    emit: {emit}",
    ]


def _options(section: Section, indent: int) -> list[str]:
    lines = []
    for name, value, comment in section.options:
        text = f"{' ' * indent}{name}: {yaml_text(value)}"
        lines.append(f"{text:<32} # {comment}" if comment else text)
    return lines
