"""Which files hold the rows: of folders, of prefixes in object stores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ktrans.api import AccessError, UnavailableError, UsageError

FORMATS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
PACKED = (".gz", ".zst")
REMOTE = ("s3://", "gs://", "gcs://", "az://")

_MADE_NAME = re.compile(r"^(?P<sink>.+)\.[0-9a-f]+-\d{8}-\d{4}-\d{5}\.")
"""How sinks name their files: pipeline and sink, then epoch, task and part."""

_TABLE = re.compile(r"(^|/)(_delta_log/|metadata/[^/]+\.metadata\.json$)")
"""Metadata of tables."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of rows.

    Attributes:
        name: for people; a path or URI.
        format: parquet, jsonl or csv.
        path: as its file system knows it.
        filesystem: of pyarrow; None for files of this machine.
        below: its path below the place that was named.
        size: in bytes.
    """

    name: str
    format: str
    path: str
    filesystem: Any = None
    below: str = ""
    size: int = 0

    @property
    def sink(self) -> str:
        """The sink that named it, or nothing if it was named otherwise."""
        made = _MADE_NAME.match(self.path.rsplit("/", 1)[-1])
        return made["sink"] if made else ""

    @property
    def root(self) -> str:
        """The folder below the place, up to the first folder of a partition."""
        parts = self.below.split("/")[:-1]
        kept = []
        for part in parts:
            if "=" in part or part.isdigit():
                break
            kept.append(part)
        return "/".join(kept)


@dataclass(slots=True)
class Found:
    """The files to read, and what people should know about those that are not.

    Attributes:
        files: all of one format.
        notes: sentences on files that were not read.
        table: the rows, if they are those of a table; then they are not read from the files.
    """

    files: list[File] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    table: Any = None

    @property
    def format(self) -> str:
        """The format of all files."""
        return self.files[0].format if self.files else "parquet"


def find(places: Sequence[str], endpoint: str | None = None) -> Found:
    """List the files of rows in places.

    Raises:
        UsageError: a place is not there, holds nothing that can be read, or holds several lakes.
        AccessError, UnavailableError: an object store does not let us in or does not answer.
    """
    files: list[File] = []
    other: dict[str, int] = {}
    for place in places:
        for file in files_in(place, endpoint):
            if file.format:
                files.append(file)
            else:
                kind = Path(file.path).suffix or "without an extension"
                other[kind] = other.get(kind, 0) + 1
    if not files:
        seen = ", ".join(f"{count} {kind}" for kind, count in sorted(other.items()))
        raise UsageError(
            f"no rows to read in {', '.join(places)}" + (f", only files {seen}" if seen else ""),
            code="no_lake",
            hint="name a folder with .parquet, .jsonl or .csv files (.gz and .zst too), such as the"
            " `path` of a sink up to its first {column}",
        )
    found = Found(files)
    if other:
        count = sum(other.values())
        found.notes.append(
            f"{count:,} files of other formats ({', '.join(sorted(other))}) were not read."
        )
    _one_lake(found)
    return found


def _one_lake(found: Found) -> None:
    """Check that all files are of one sink: sums over two sinks of a run count rows twice."""
    groups: dict[tuple[str, str, str], list[File]] = {}
    for file in found.files:
        groups.setdefault((file.format, file.root, file.sink), []).append(file)
    lakes = _merged(list(groups))
    if len(lakes) == 1:
        return
    lines = []
    for lake in lakes:
        count = sum(len(groups[key]) for key in lake)
        first = groups[lake[0]][0]
        folder = first.name[: len(first.name) - len(first.below)] + first.root
        lines.append(f"{folder} ({count} {lake[0][0]} files)")
    raise UsageError(
        f"there are several lakes here, and a row may be in more than one: {'; '.join(lines)}",
        code="several_lakes",
        hint="name one of them",
    )


def _merged(keys: Sequence[tuple[str, str, str]]) -> list[list[tuple[str, str, str]]]:
    """Put together what has the same format and the same root or sink."""
    lakes: list[list[tuple[str, str, str]]] = []
    for kind, root, sink in keys:
        near = [
            lake
            for lake in lakes
            if any(kind == other and (root == r or sink == s) for other, r, s in lake)
        ]
        lakes = [lake for lake in lakes if lake not in near]
        lakes.append([*(one for lake in near for one in lake), (kind, root, sink)])
    return lakes


def kind_of(name: str) -> str:
    """Return the format of a file by its name, or an empty text."""
    for packed in PACKED:
        name = name.removesuffix(packed)
    return FORMATS.get(Path(name).suffix, "")


def _check_plain(place: str, below: str) -> None:
    """Check that a file is not part of a table's metadata: the table says which files count.

    Raises:
        UsageError: it is.
    """
    if match := _TABLE.search(below):
        top = joined(place, below[: match.start()])
        delta = "_delta_log" in match[0]
        raise UsageError(
            f"{top} is {'a Delta' if delta else 'an Iceberg'} table, and not all files in its folder"
            " count",
            code="part_of_table",
            hint=f"ktrans report {top}"
            if delta
            else "ktrans report --iceberg NAMESPACE.TABLE --catalog ADDRESS, or name the table's"
            " current metadata file",
        )


def joined(place: str, below: str) -> str:
    """Return the path or URI of what is below a place."""
    return f"{place.rstrip('/')}/{below}".rstrip("/") if below else place


def _hidden(below: str) -> bool:
    """Return whether a path is hidden, as unfinished files and markers such as _SUCCESS are."""
    return any(part.startswith((".", "_")) for part in below.split("/"))


def local_path(place: str) -> Path:
    """Return the path of a place on this machine."""
    return Path(place.removeprefix("file://"))


def files_in(place: str, endpoint: str | None) -> Iterator[File]:
    """List the files of a place, a file or a folder; those without a format are of no use."""
    return _remote(place, endpoint) if place.startswith(REMOTE) else _local(place)


def _local(place: str) -> Iterator[File]:
    path = local_path(place)
    if path.is_file():
        kind = kind_of(path.name)
        yield File(str(path), kind, str(path), below=path.name, size=path.stat().st_size)
        return
    if not path.is_dir():
        raise UsageError(
            f"there is no {place}",
            code="no_lake",
            hint="name the folder that a file sink writes to, or a file in it",
        )
    try:
        for file in sorted(path.rglob("*")):
            below = file.relative_to(path).as_posix()
            _check_plain(place, below)
            if file.is_file() and not _hidden(below):
                kind = kind_of(file.name)
                yield File(str(file), kind, str(file), below=below, size=file.stat().st_size)
    except OSError as error:
        raise AccessError(f"cannot list {place}: {error.strerror or error}") from None


def _remote(place: str, endpoint: str | None) -> Iterator[File]:
    from pyarrow.fs import FileSelector, FileType

    scheme = place.partition("://")[0]
    try:
        system, path = system_at(place, endpoint)
        one = system.get_file_info(path)
        if one.type == FileType.File:
            listed, base = [one], path.rsplit("/", 1)[0]
        elif one.type == FileType.NotFound:
            raise UsageError(f"there is no {place}", code="no_lake", hint="check bucket and prefix")
        else:
            listed, base = system.get_file_info(FileSelector(path, recursive=True)), path
    except OSError as error:
        # The file systems of pyarrow say "access denied" in a text only, which is not parsed.
        if isinstance(error, PermissionError):
            raise AccessError(f"cannot list {place}: permission denied") from None
        raise UnavailableError(
            f"cannot list {place}: {str(error).splitlines()[0]}",
            hint="is the store reachable, and may the credentials of the environment list the"
            " prefix and read its objects?",
        ) from None
    for info in sorted(listed, key=lambda info: str(info.path)):
        below = info.path[len(base) + 1 :]
        _check_plain(place, below)
        if info.type == FileType.File and not _hidden(below):
            name = f"{scheme}://{info.path}"
            yield File(name, kind_of(info.path), info.path, system, below, info.size or 0)


def system_at(place: str, endpoint: str | None) -> tuple[Any, str]:
    """Return pyarrow's file system for a place, and its path there; None for this machine."""
    if not place.startswith(REMOTE):
        return None, place
    scheme, _, path = place.partition("://")
    path = path.rstrip("/")
    if scheme != "az":
        return _system_of(scheme, "", endpoint), path
    account, _, rest = path.partition("/")
    return _system_of(scheme, account, endpoint), rest


@cache
def _system_of(scheme: str, account: str, endpoint: str | None) -> Any:
    """Return pyarrow's file system for a scheme; on Azure, that of an account."""
    from pyarrow import fs

    if scheme == "s3":
        where, _, host = (endpoint or "").rpartition("://")
        address = {"endpoint_override": host.rstrip("/"), "scheme": where or "https"}
        return fs.S3FileSystem(**address if endpoint else {})
    if endpoint:
        raise UsageError("--endpoint is for s3:// places")
    return fs.AzureFileSystem(account) if scheme == "az" else fs.GcsFileSystem()
