"""Reads the error codes and log events that ktrans and the installed plugins explain."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ktrans.api.log_events import LogEvent

if TYPE_CHECKING:
    from ktrans.registry.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an error code or reject reason means.

    `title` is the heading under which the documentation lists the code.
    """

    code: str
    cause: str
    cure: str
    title: str
    distribution: str


def explanations(catalogue: Catalogue) -> list[Explanation]:
    """Return all explained codes, those of ktrans first; a code may be explained by two plugins."""
    return [
        explanation
        for info, texts in catalogue.ask("ktrans_error_codes")
        for text in texts
        for explanation in parse_codes(text, info.distribution)
    ]


def parse_codes(text: str, distribution: str) -> Iterator[Explanation]:
    """Parse one TOML text of a plugin: `title`, then a table for each code."""
    tables = tomllib.loads(text)
    title = str(tables.pop("title", distribution))
    for code, table in tables.items():
        yield Explanation(code, table["cause"], table["cure"], title, distribution)


def log_events(catalogue: Catalogue) -> list[LogEvent]:
    """Return all declared log events, those of ktrans first."""
    return [
        event
        for _, modules in catalogue.ask("ktrans_log_events")
        for module in modules
        for event in vars(importlib.import_module(module)).values()
        if isinstance(event, LogEvent)
    ]
