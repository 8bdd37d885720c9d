"""Exports and imports what a pipeline remembers as JSON records.

The first record describes the export, the last has the number of records, so that an incomplete file
is detected. A missing key is unknown, which is not the same as null.

| record | keys | what it is |
|---|---|---|
| `begin` | `format`, `tables`, `pipeline`, `exported`, `ktrans` | the head |
| `pipeline` | `config_path`, `history`, `source`, `position`, `updated` | its position |
| `epoch` | `number`, `status`, `fingerprint`, `plan`, `staged`, `summary`, `planned`, `recorded`, \
`position`, `source`, `replaced` | an epoch; `plan` and `staged` as long as it is not done |
| `epoch_quarantined` | `number`, `key`, `uri`, `kind`, `code`, `reason` | a split that an epoch goes without |
| `remembered` | `key`, `value`, `number` | a split that was read, and by which epoch |
| `quarantined` | `key`, `uri`, `kind`, `code`, `reason`, `number`, `since`, `tries` | could not be read |
| `snapshot` | `name`, `number`, `part`, `whole`, `open`, `value` | open totals; `value` in base64 |
| `replaced` | `number`, `key`, `value`, `written` | for the way back: the value before that epoch |
| `end` | `records` | how many came before it |
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ktrans import __version__
from ktrans.api import StateError, UsageError
from ktrans.kit.state.tables import STATE_VERSION, TABLES, pipeline_column

if TYPE_CHECKING:
    from pathlib import Path

    from ktrans.state.store import Store

FORMAT = 2

_PLACE = ("number", "key", "uri", "kind", "code", "reason")
_COLUMNS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "pipeline": (
        "pipelines",
        ("config_path", "history", "source", "position", "updated"),
        "name",
    ),
    "epoch": (
        "epochs",
        (
            *("number", "status", "fingerprint", "plan", "staged", "summary", "planned"),
            *("recorded", "position", "source", "replaced", "begun"),
        ),
        "number",
    ),
    "epoch_quarantined": ("epoch_quarantined", _PLACE, "number, key"),
    "remembered": ("remembered", ("key", "value", "number"), "key"),
    "quarantined": ("quarantined", (*_PLACE, "since", "tries"), "key"),
    "snapshot": (
        "snapshots",
        ("name", "number", "part", "whole", "open", "value"),
        "name, number, part",
    ),
    "replaced": ("replaced", ("number", "key", "value", "written"), "number, key"),
}
"""By kind of record: the table, its columns except the pipeline's, and the order."""

_JSON = {"position", "plan", "staged", "summary", "value"}
_NEEDED = {
    "pipeline": {"config_path", "history", "updated"},
    "epoch": {"number", "status", "fingerprint", "plan", "planned"},
}


def export(store: Store, pipeline: str) -> Iterator[dict[str, Any]]:
    """Return everything that is known of a pipeline, record by record."""
    yield {
        "record": "begin",
        "format": FORMAT,
        "tables": STATE_VERSION,
        "pipeline": pipeline,
        "exported": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "ktrans": __version__,
    }
    count = 1
    for kind, (table, columns, order) in _COLUMNS.items():
        rows = store.rows(
            f"SELECT {', '.join(columns)} FROM {table} "  # noqa: S608
            f"WHERE {pipeline_column(table)}=? ORDER BY {order}",
            pipeline,
        )
        for row in rows:
            count += 1
            yield {"record": kind, **_as_json(kind, dict(zip(columns, row, strict=True)))}
    yield {"record": "end", "records": count}


def load(
    store: Store, pipeline: str, config_path: Path, lines: Iterable[str], *, replace: bool = False
) -> int:
    """Import what `export` returned, in one transaction.

    Returns:
        The number of records.

    Raises:
        StateError: the store has a state of this pipeline, or the records are of another ktrans.
        UsageError: these are not all records of an export.
    """
    if not replace and pipeline in store.pipelines():
        raise StateError(
            f"{store.database.where} has a state of pipeline {pipeline!r} already",
            code="state_exists",
            hint="give --replace to replace it, or give the pipeline another `name`",
        )
    taken = dict.fromkeys(_COLUMNS, 0)
    rows: dict[str, list[tuple[Any, ...]]] = {kind: [] for kind in _COLUMNS}
    for kind, record in _records(lines):
        taken[kind] += 1
        rows[kind].append((pipeline, *_values(kind, record, config_path)))
    if taken["pipeline"] != 1:
        raise _damaged("it has no record `pipeline`")
    with store.transaction() as db:
        for table in TABLES:
            db.execute(f"DELETE FROM {table} WHERE {pipeline_column(table)}=?", (pipeline,))  # noqa: S608
        for kind, (table, columns, _) in _COLUMNS.items():
            names = (pipeline_column(table), *columns)
            db.executemany(
                f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608
                f"VALUES ({', '.join('?' * len(names))})",
                rows[kind],
            )
    return sum(taken.values())


def _records(lines: Iterable[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return the records between the first and the last, which are checked."""
    count, ended = 0, False
    for line in lines:
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            kind = record.pop("record")
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise _damaged(f"line {count + 1} is not a record") from error
        if ended or (count == 0) != (kind == "begin"):
            raise _damaged(f"line {count + 1} is in the wrong place")
        if kind == "begin":
            _check_head(record)
        elif kind == "end":
            ended = True
            if record.get("records") != count:
                raise _damaged(f"it has {count} records of {record.get('records')}")
        elif kind not in _COLUMNS:
            raise _damaged(f"line {count + 1} is a record of an unknown kind, {kind!r}")
        else:
            yield kind, record
        count += 1
    if not ended:
        raise _damaged("its end is missing")


def _check_head(head: Mapping[str, Any]) -> None:
    if isinstance(head.get("format"), int) and head["format"] < FORMAT:
        raise StateError(
            f"the export is of an older ktrans (format {head['format']}, this one reads {FORMAT})",
            code="export_too_old",
            hint="let this ktrans open the state that was exported, and export it again",
        )
    if head.get("format") != FORMAT or not isinstance(head.get("tables"), int):
        raise _damaged("its first record is not that of an export")
    if head["tables"] > STATE_VERSION:
        raise StateError(
            f"the export is of a newer ktrans (state version {head['tables']}, this one knows "
            f"{STATE_VERSION})",
            code="state_too_new",
            hint="upgrade ktrans",
        )


def _as_json(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    if kind == "snapshot":
        return {**row, "value": base64.b64encode(row["value"]).decode()}
    return {
        name: json.loads(value) if name in _JSON else value
        for name, value in row.items()
        if value is not None
    }


def _values(kind: str, record: Mapping[str, Any], config_path: Path) -> Iterator[Any]:
    columns = _COLUMNS[kind][1]
    missing = _NEEDED.get(kind, set(columns)) - set(record)
    if missing or set(record) - set(columns):
        raise _damaged(f"a record of kind {kind!r} has unexpected keys")
    for name in columns:
        value = record.get(name)
        if name == "config_path":
            yield str(config_path.absolute())
        elif kind == "snapshot" and name == "value":
            yield _bytes(value)
        elif name in _JSON and name in record:
            yield json.dumps(value)
        else:
            if not isinstance(value, (str, int, type(None))):
                raise _damaged(f"`{name}` of a record of kind {kind!r} has an invalid value")
            yield value


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, TypeError) as error:
        raise _damaged("the open totals are not in base64") from error


def _damaged(why: str) -> UsageError:
    return UsageError(
        f"this is not a complete export of `ktrans state export`: {why}",
        code="export_damaged",
        hint="export again, and copy the whole file",
    )
