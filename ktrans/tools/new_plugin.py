"""Writes a new plugin: a distribution that can be installed, and passes its tests."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

from ktrans import __version__
from ktrans.api import UsageError
from ktrans.api.spec import Kind

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_SUMMARY: dict[Kind, str] = {
    "source": "Files of a folder",
    "decoder": "Lines of eight fields",
    "enricher": "The mean size of packets",
    "format": "Pairs of name and value",
    "sink": "Rows into SQLite",
}

_EXAMPLE: dict[Kind, str] = {
    "source": "source:\n  type: $type\n  folder: inbox",
    "decoder": "decoder:\n  type: $type",
    "enricher": "enrichers:\n  - type: $type",
    "format": "sinks:\n  - type: file\n    path: out/\n    format: {type: $type}",
    "sink": "sinks:\n  - type: $type\n    database: flows.db",
}


def write_plugin(name: str, kind: Kind, folder: Path) -> list[Path]:
    """Write a distribution.

    `name` may have the prefix `ktrans-`. The folder of the distribution is created in `folder`.

    Returns:
        The files, in the order in which to read them.

    Raises:
        UsageError: the name is not valid, or the folder exists already.
    """
    short = name.removeprefix("ktrans-")
    if not _NAME.fullmatch(short):
        raise UsageError(
            f"{name!r} is not a valid name of a plugin",
            hint="use lower case letters, digits and hyphens, such as acme or ktrans-acme",
        )
    root = folder / f"ktrans-{short}"
    if root.exists():
        raise UsageError(
            f"{root} exists already", hint="choose another name, or a folder with --into"
        )
    values = _values(short, kind)
    module = values["module"]
    written = []
    for template, target in (
        ("README.md", "README.md"),
        (f"{kind}.py", f"{module}/{kind}.py"),
        ("init.py", f"{module}/__init__.py"),
        (f"test_{kind}.py", f"tests/test_{values['type']}.py"),
        ("pyproject.toml", "pyproject.toml"),
        ("workflow.yml", ".github/workflows/test.yml"),
        ("gitignore", ".gitignore"),
    ):
        text = files(__package__).joinpath("templates", f"{template}.tmpl").read_text("utf-8")
        path = root / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(values), "utf-8")
        written.append(path)
    (root / module / "py.typed").touch()
    return written


def _values(short: str, kind: Kind) -> dict[str, str]:
    type_ = short.replace("-", "_")
    major, minor = __version__.split(".")[:2]
    more = {"sink": '\n            delivery="exactly_once",'}.get(kind, "")
    return {
        "distribution": f"ktrans-{short}",
        "module": f"ktrans_{type_}",
        "type": type_,
        "kind": kind,
        "class_name": "".join(part.capitalize() for part in short.split("-")),
        "summary": _SUMMARY[kind],
        "example": Template(_EXAMPLE[kind]).substitute(type=type_),
        "version": f"{major}.{minor}",
        "next_version": f"{major}.{int(minor) + 1}",
        "more_spec": more,
    }
