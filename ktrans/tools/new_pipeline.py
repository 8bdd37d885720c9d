"""Writes a new pipeline file for a place to read from and places to write to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ktrans.api import Budget, Context, KtransError, UsageError
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.registry.catalogue import Catalogue
from ktrans.tools.preview import NoMemory

HINT = (
    "use a path, s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix, "
    "kafka://host:9092/topic, http(s)://host:8086 (InfluxDB, only to write to), or - for a pipe"
)


@dataclass(slots=True)
class Section:
    """The options of a source or sink, each with a comment, and the required plugin."""

    options: list[tuple[str, object, str]] = field(default_factory=list)
    plugin: str = ""

    def add(self, name: str, value: object, comment: str = "") -> Section:
        """Add an option."""
        self.options.append((name, value, comment))
        return self


def source_at(place: str) -> Section:
    """Return the source that reads from a place.

    Raises:
        UsageError: no source can read from there.
    """
    if place == "-":
        return Section().add("type", "stdin")
    if "://" not in place:
        note = "files, folders and globs; relative to this file"
        return Section().add("type", "file").add("paths", [place], note)
    url = urlsplit(place)
    section, path = _object_store(url)
    if section is not None:
        note = "day folders below it are detected, and listed day by day"
        return section.add("prefix", path, note if url.scheme == "s3" else "") if path else section
    if url.scheme == "kafka":
        section = _kafka(url.netloc).add("topics", [path or "flows"])
        return section.add("start", "earliest", "where to start when nothing was read yet")
    raise UsageError(f"logs cannot be read from {place!r}", hint=HINT)


def sink_at(place: str) -> Section:
    """Return the sink that writes to a place.

    Raises:
        UsageError: no sink can write there.
    """
    if place == "-":
        return Section().add("type", "stdout")
    if "://" not in place:
        return _files(Section().add("type", "file"), place, "")
    url = urlsplit(place)
    section, path = _object_store(url)
    if section is not None:
        return _files(section, path, "flows")
    if url.scheme == "kafka":
        return _kafka(url.netloc).add("topic", path or "flows")
    if url.scheme in {"http", "https"}:
        section = Section(plugin="ktrans-influxdb").add("type", "influxdb")
        section.add("url", f"{url.scheme}://{url.netloc}").add("org", path or "my-org")
        section.add("bucket", "flows")
        return section.add("token", "${env:INFLUX_TOKEN:-no-token}", "from the environment")
    raise UsageError(f"rows cannot be written to {place!r}", hint=HINT)


def _files(section: Section, folder: str, default: str) -> Section:
    """Add the common options of sinks that write files: a path with a folder per day, and a format."""
    path = f"{folder.rstrip('/') or default}/date={{start_time:%Y-%m-%d}}/"
    note = "one folder per day; may contain other columns, such as {account_id}"
    section.add("path", path, note)
    return section.add("format", {"type": "parquet"}, "or jsonl, csv, arrow, influx, es_bulk")


def _object_store(url: SplitResult) -> tuple[Section | None, str]:
    """Return the options that name an object store, if the URL is of one, and the path below."""
    path = url.path.lstrip("/")
    if url.scheme == "s3":
        return Section(plugin="ktrans-aws").add("type", "s3").add("bucket", url.netloc), path
    if url.scheme in {"gs", "gcs"}:
        return Section(plugin="ktrans-gcp").add("type", "gcs").add("bucket", url.netloc), path
    if url.scheme not in {"az", "azure"}:
        return None, path
    container, _, path = path.partition("/")
    section = Section(plugin="ktrans-azure").add("type", "azure_blob")
    note = "signs in as the Azure CLI, a managed identity or a workload"
    return section.add("account", url.netloc, note).add("container", container or "flows"), path


def _kafka(servers: str) -> Section:
    section = Section(plugin="ktrans-kafka").add("type", "kafka")
    return section.add("bootstrap_servers", servers.split(",") if servers else ["localhost:9092"])


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
    name: str, source: Section, sinks: Iterable[Section], decoder: str, comments: Iterable[str]
) -> str:
    """Return the text of a pipeline file.

    The comments are about the decoder.
    """
    lines = [
        "# yaml-language-server: $schema=ktrans.schema.json",
        "# Check it:  ktrans validate --connect FILE      Look:  ktrans preview FILE",
        "# Try it:    ktrans plan FILE                    Run:   ktrans run FILE",
        f"name: {name}",
        "source:",
        *_options(source, 2),
        *[f"# {line}" for line in comments],
        "decoder:",
        f"  type: {decoder}",
        "enrichers:",
        "  - type: services               # names of services by port and protocol",
        "  # - {type: filter, where: \"action = 'reject' or bytes > 0\"}",
        "  # - {type: cidr, table: networks.csv}    # your own networks, by prefix",
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


def _options(section: Section, indent: int) -> list[str]:
    lines = []
    for name, value, comment in section.options:
        text = f"{' ' * indent}{name}: {_scalar(value)}"
        lines.append(f"{text:<32} # {comment}" if comment else text)
    return lines


def _scalar(value: object) -> str:
    """Return a value as YAML: as JSON, but plain words without quotes."""
    if isinstance(value, str) and value.replace("-", "").replace("_", "").isalnum():
        return value if not value.isdigit() else json.dumps(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_scalar(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)
