"""Where `ktrans init` reads from and writes to: addresses as sections of a pipeline file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from ktrans.api import ConfigError, ConfigErrors, UsageError
from ktrans.config.remarks import UNSET_SECRET
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.options import Option, example_of, list_options

HINT = (
    "use a path, s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix, "
    "kafka://host:9092/topic, - for a pipe, TYPE+URL such as prometheus+https://host/api/v1/write, "
    "or TYPE: such as postgres:"
)
SCHEMES = {"postgresql": "postgres", "postgres": "postgres"}
"""The types of sinks whose addresses have a scheme of their own."""

_TYPED = re.compile(r"([a-z][a-z0-9_]*)(?::|\+(\w+://.*))")
_PASSWORD = re.compile(r"\w+://[^/?#]*:[^/?#]*@")
_REFERENCE = re.compile(r"\$\{env:(\w+)\}")


@dataclass(slots=True)
class Section:
    """The options of a source or sink, each with a comment, and the required plugin.

    `local` is the path that was named, if it is one of this machine to read from.
    """

    options: list[tuple[str, object, str]] = field(default_factory=list)
    plugin: str = ""
    local: str = ""

    def add(self, name: str, value: object, comment: str = "") -> Section:
        """Add an option."""
        self.options.append((name, value, comment))
        return self

    @property
    def type(self) -> str:
        """The component's type."""
        return str(self.options[0][1])


def source_at(place: str, folder: Path, catalogue: Catalogue) -> Section:
    """Return the source that reads from a place, for a pipeline file in a folder.

    Raises:
        UsageError: no source can read from there.
    """
    return _checked(_source_at(place, folder, catalogue), place, "source", catalogue)


def sink_at(place: str, folder: Path, catalogue: Catalogue) -> Section:
    """Return the sink that writes to a place, for a pipeline file in a folder.

    Raises:
        UsageError: no sink can write there.
    """
    return _checked(_sink_at(place, folder, catalogue), place, "sink", catalogue)


def _source_at(place: str, folder: Path, catalogue: Catalogue) -> Section:
    if place == "-":
        return Section().add("type", "stdin")
    if (section := _typed(place, "source", catalogue)) is not None:
        return section
    if "://" not in place:
        note = "files, folders and globs; relative to this file"
        path = _from_folder(place, folder)
        return Section(local=path).add("type", "file").add("paths", [path], note)
    url = _parts_of(place)
    section, path = _object_store(url)
    if section is not None:
        note = "day folders below it are detected, and listed day by day"
        return section.add("prefix", path, note if url.scheme == "s3" else "") if path else section
    if url.scheme == "kafka":
        section = _kafka(url.netloc).add("topics", [path or "flows"])
        return section.add("start", "earliest", "where to start when nothing was read yet")
    raise UsageError(f"logs cannot be read from {place!r}", hint=HINT)


def _sink_at(place: str, folder: Path, catalogue: Catalogue) -> Section:
    if place == "-":
        return Section().add("type", "stdout")
    if (section := _typed(place, "sink", catalogue)) is not None:
        return section
    if "://" not in place:
        return _files(Section().add("type", "file"), _from_folder(place, folder), "")
    url = _parts_of(place)
    section, path = _object_store(url)
    if section is not None:
        return _files(section, path, "flows")
    if url.scheme == "kafka":
        return _kafka(url.netloc).add("topic", path or "flows")
    if url.scheme in SCHEMES:
        return _sink_at(f"{SCHEMES[url.scheme]}+{place}", folder, catalogue)
    if url.scheme in {"http", "https"}:
        types = [s.type for s in catalogue.specs("sink") if _takes_url(catalogue, s.type)]
        raise UsageError(
            f"many kinds of servers are at addresses such as {place!r}",
            hint=f"say which one: {types[0]}+{place}; there are {', '.join(types)}",
        )
    raise UsageError(f"rows cannot be written to {place!r}", hint=HINT)


def _from_folder(place: str, folder: Path) -> str:
    """Return a path of the working folder as one of the pipeline file's folder."""
    if not place:
        raise UsageError("the place is an empty text", hint=HINT)
    if place.startswith(("/", "~")) or folder.resolve() == Path.cwd():
        return place
    path = os.path.relpath(place, folder)
    return f"{path}/" if place.endswith("/") else path


def _checked(
    section: Section, place: str, kind: Literal["source", "sink"], catalogue: Catalogue
) -> Section:
    """Return a section whose options are valid; that of a plugin that is missing is not looked at.

    Raises:
        UsageError: some option cannot have the value that the place gives.
    """
    if section.plugin and section.plugin not in {p.distribution for p in catalogue.plugins()}:
        return section
    try:
        catalogue.config(kind, {name: value for name, value, _ in section.options})
    except (ConfigError, ConfigErrors) as error:
        several = error.errors if isinstance(error, ConfigErrors) else [error]
        why = "; ".join(one.message for one in several)
        raise UsageError(f"{place!r} cannot be used: {why}", hint=HINT) from None
    return section


def _parts_of(place: str) -> SplitResult:
    _refuse_password(place, place.partition(":")[0])
    try:
        return urlsplit(place)
    except ValueError as error:
        raise UsageError(f"{place!r} is no address: {error}", hint=HINT) from None


def _refuse_password(url: str, whose: str) -> None:
    if _PASSWORD.match(url):
        raise UsageError(
            f"the address of {whose} has a password, which would be in the file",
            hint="leave it out, and add an option with a reference such as ${env:PASSWORD}",
        )


def _takes_url(catalogue: Catalogue, name: str) -> bool:
    """Return whether a sink has an option `url` that is an address of HTTP."""
    url = example_of(catalogue.model("sink", name)).get("url")
    return isinstance(url, str) and url.startswith("http")


def _typed(place: str, kind: Literal["source", "sink"], catalogue: Catalogue) -> Section | None:
    """Return the section for `TYPE:` or `TYPE+URL`, from the example of that type; None for others.

    Raises:
        UsageError: there is no such type, it has no option `url`, or the URL has a password.
    """
    found = _TYPED.fullmatch(place)
    if found is None:
        return None
    name, url = found.groups()
    spec = catalogue.spec(kind, name)
    model = catalogue.model(kind, name)
    options = {option.name: option for option in list_options(model, model.nested)}
    example = {name: _with_defaults(value) for name, value in example_of(model).items()}
    if url is not None:
        if "url" not in options:
            raise UsageError(
                f"{kind} {name} has no option `url`", hint=f"use `{name}:`, and edit the file"
            )
        _refuse_password(url, f"{kind} {name}")
        example["url"] = url
    plugin = catalogue.origin(kind, name).distribution
    section = Section(plugin="" if plugin == "ktrans" else plugin).add("type", spec.type)
    for option, value in example.items():
        if option != "type":
            section.add(option, value, _comment(options[option]))
    return section


def _comment(option: Option) -> str:
    """Return the first sentence of an option's description, in lower case like other comments."""
    text = re.split(r"(?<=[a-z0-9`)])[.:;] ", option.description, maxsplit=1)[0].rstrip(".")
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


def _with_defaults(value: Any) -> Any:
    """Add a default to references to variables, so that the file is valid before they are set."""
    if isinstance(value, str):
        return _REFERENCE.sub(rf"${{env:\1:-{UNSET_SECRET}}}", value)
    if isinstance(value, dict):
        return {key: _with_defaults(item) for key, item in value.items()}
    return [_with_defaults(item) for item in value] if isinstance(value, list) else value


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
