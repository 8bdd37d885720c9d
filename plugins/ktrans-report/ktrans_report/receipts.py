"""Receipts of runs: reading one, and finding what the run wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ktrans.api import ConfigError, UsageError
from ktrans_report.places import REMOTE, File, Found, files_in, kind_of, local_path


def of_receipt(
    receipt: dict[str, Any], sink: str | None, endpoint: str | None
) -> tuple[Found, dict[str, Any] | None]:
    """Find what a run wrote: the output of one sink, since several hold the same rows.

    Args:
        receipt: as `ktrans run --receipt` writes it.
        sink: its id; by default the one with the most rows among those that can be read.
        endpoint: of S3.

    Returns:
        The files, and the sink's entry in the receipt; no files and None if nothing was written.

    Raises:
        UsageError: there is no such sink, or it wrote no files that can be read.
    """
    sinks = [entry for entry in receipt.get("sinks", []) if sink in {None, entry["id"]}]
    if sink is not None and not sinks:
        known = ", ".join(entry["id"] for entry in receipt.get("sinks", [])) or "none"
        raise UsageError(f"the receipt has no sink {sink!r}", hint=f"it has: {known}")
    usable = [entry for entry in sinks if any(kind_of(name) for name in entry["outputs"])]
    if not usable:
        if sink is None and not any(entry["count"] for entry in sinks):
            return Found(), None
        kinds = ", ".join(f"{entry['id']} ({entry['type']})" for entry in sinks)
        raise UsageError(
            f"no sink of this run wrote files that can be read here: {kinds}",
            code="no_lake",
            hint="name the place of the rows: ktrans report --receipt FILE PLACE",
        )
    chosen = max(usable, key=lambda entry: entry["rows"])
    found = Found(list(_outputs(chosen["outputs"], endpoint)))
    passed = [entry["id"] for entry in sinks if entry is not chosen]
    if passed:
        found.notes.append(
            f"The rows are those of sink {chosen['id']}; other sinks of the run, which hold the"
            f" same rows or a part of them, were not read: {', '.join(passed)}."
        )
    if chosen["count"] > len(chosen["outputs"]):
        found.notes.append(
            f"The receipt names {len(chosen['outputs']):,} of the {chosen['count']:,} files that"
            " were written, and only these were read; name the lake's folder to read all."
        )
    return found, chosen


def _outputs(names: Iterable[str], endpoint: str | None) -> Iterator[File]:
    for name in names:
        if not name.startswith(REMOTE) and not local_path(name).is_file():
            raise UsageError(
                f"the receipt names {local_path(name)}, which is not there any more",
                code="no_lake",
                hint="name the place of the rows: ktrans report --receipt FILE PLACE",
            )
        yield from (file for file in files_in(name, endpoint) if file.format)


def load_receipt(path: str) -> dict[str, Any]:
    """Read a receipt.

    Raises:
        ConfigError: it cannot be read, or is not a receipt.
    """
    try:
        receipt = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}", code="bad_receipt"
        ) from None
    except (UnicodeDecodeError, ValueError):
        receipt = None
    if not isinstance(receipt, dict) or receipt.get("version") != 1 or "ledger" not in receipt:
        raise ConfigError(
            f"{path} is not a receipt",
            code="bad_receipt",
            hint="`ktrans run --receipt FILE` writes one",
        )
    return receipt
