"""Reads the installed entry points of the group `ktrans`.

`importlib.metadata` takes longer to import than the rest of `ktrans --help`, so the metadata folders
on `sys.path` are read here. Where a path entry is not a folder, such as a zip file, it is used after
all.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

GROUP = "ktrans"

_SECTION = re.compile(rf"^\[{GROUP}\]\s*$(?P<body>.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_POINT = re.compile(
    r"^\s*(?P<name>[^#=\s][^=\n]*?)\s*=\s*(?P<value>[\w.]+(:[\w.]+)?)", re.MULTILINE
)
_HEADER = re.compile(r"^(Name|Version):[ \t]*(.*?)\s*$", re.MULTILINE)


class PluginPoint(msgspec.Struct, frozen=True):
    """An entry point: a plugin that is installed, but not imported yet.

    `value` is what to import: `module` or `module:attr`. The name of the distribution is
    normalized.
    """

    name: str
    value: str
    distribution: str
    version: str

    def load(self) -> Any:
        """Import what the entry point names."""
        module, _, attr = self.value.partition(":")
        found: Any = importlib.import_module(module)
        for part in filter(None, attr.split(".")):
            found = getattr(found, part)
        return found


def installed_points(paths: Iterable[str] | None = None) -> list[PluginPoint]:
    """List the entry points of all distributions, those of ktrans itself first."""
    paths = dict.fromkeys(sys.path if paths is None else paths)
    found: dict[str, list[PluginPoint]] = {}
    for path in paths:
        try:
            entries = sorted(os.scandir(path or "."), key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        except OSError:
            return _sorted(_by_importlib())
        for entry in entries:
            if entry.name.endswith((".dist-info", ".egg-info")):
                points = [*_points_of(entry.path)]
                if points:  # the first one on the path is the one that is imported
                    found.setdefault(points[0].distribution, points)
    return _sorted(point for points in found.values() for point in points)


def normalized(name: str) -> str:
    """Return the name of a distribution in one spelling."""
    return re.sub(r"[-_.]+", "-", name.strip().lower())


def _sorted(points: Iterable[PluginPoint]) -> list[PluginPoint]:
    return sorted(dict.fromkeys(points), key=lambda p: (p.distribution != GROUP, p.name))


def _points_of(folder: str) -> Iterator[PluginPoint]:
    section = _SECTION.search(_read(folder, "entry_points.txt"))
    if section is None:
        return
    headers = dict(_HEADER.findall(_read(folder, "METADATA") or _read(folder, "PKG-INFO")))
    name = headers.get("Name") or os.path.basename(folder).partition("-")[0]  # noqa: PTH119
    for point in _POINT.finditer(section["body"]):
        yield PluginPoint(
            point["name"], point["value"], normalized(name), headers.get("Version", "")
        )


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _by_importlib() -> Iterator[PluginPoint]:
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        name, version = (point.dist.name, point.dist.version) if point.dist else (point.name, "")
        yield PluginPoint(point.name, point.value, normalized(name), version)
