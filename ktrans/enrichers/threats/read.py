"""Reads the file of a published list, whatever its form."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

from ktrans.api import ConfigError
from ktrans.enrichers.threats.entries import UNREADABLE, Published
from ktrans.enrichers.threats.json_lists import looks_like_json, read_json
from ktrans.enrichers.threats.options import ThreatList
from ktrans.enrichers.threats.text_lists import looks_like_csv, read_csv, read_plain


def read_list(path: Path, options: ThreatList) -> Published:
    """Read a list; it always has a date: its own, or when the file was written.

    Raises:
        ConfigError: the file cannot be read, or does not hold a list.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise ConfigError(
            f"threat_list: cannot read {path}: {error.strerror or error}",
            code="table_unreadable",
            hint="a relative path starts from the pipeline file's folder",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"threat_list: {path} is not UTF-8 text: {error}") from None
    try:
        found = _read(text, path, options)
    except (ValueError, RecursionError, csv.Error) as error:
        raise _no_list(path, str(error)) from None
    except (AttributeError, TypeError) as error:  # texts where objects belong, or the reverse
        raise _no_list(path, "its JSON has values where other kinds belong") from error
    unreadable = found.skipped.get(UNREADABLE, 0)
    if unreadable > len(found.entries):
        raise _no_list(path, f"{unreadable} of its entries are neither addresses nor domains")
    if found.as_of is None:
        found.as_of = written.replace(microsecond=0)
    return found


def _read(text: str, path: Path, options: ThreatList) -> Published:
    if looks_like_json(text):
        return read_json(text, options)
    tabs = path.suffix.lower() == ".tsv"
    if tabs or path.suffix.lower() == ".csv" or options.column is not None or looks_like_csv(text):
        return read_csv(text, options, "\t" if tabs else ",")
    return read_plain(text)


def _no_list(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"threat_list: {path} is not a list that can be read: {why}",
        code="bad_list",
        hint="look whether the download is the list and not a page; for CSV and JSON name its `column`",
    )
