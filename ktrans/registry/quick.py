"""Lets plugins add verbs to the command line, cheaply.

`importlib.metadata` costs more than the rest of `ktrans --help` together. Where nothing chooses
among the plugins, their registration modules can be found and asked without it.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

GROUP = "ktrans"
VERB_HOOK = "ktrans_add_commands"

_log = logging.getLogger("ktrans.registry")
_OWN = re.compile(rf"{GROUP}(-\d[^-]*)?\.(dist|egg)-info$")
_SECTION = re.compile(rf"^\[{GROUP}\]\s*$(?P<body>.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_POINT = re.compile(r"^\s*[^#=\s][^=]*=\s*(?P<module>[\w.]+)", re.MULTILINE)


def add_verbs(cli: click.Group) -> bool:
    """Let the plugins other than our own add their verbs.

    Imports their registration modules, which are light. A plugin that cannot be imported is left
    out, as is one whose hook fails; `ktrans plugins` tells.

    Returns:
        False if only the catalogue can tell which plugins there are: the environment says which may
        load, so that nothing was imported here that must not be, or the path holds a zip file.
    """
    if os.environ.keys() & {"KTRANS_PLUGINS", "KTRANS_DISABLE_PLUGINS", "KTRANS_PLUGINS_DIR"}:
        return False
    modules = other_modules()
    if modules is None:
        return False
    for module in dict.fromkeys(modules):
        hook = _verb_hook(module)
        if hook is None:
            continue
        try:
            hook(cli=cli)
        except Exception as error:  # noqa: BLE001 - help must come
            from ktrans.registry import log_events

            _log.warning(
                "%s could not add its verbs: %s",
                module,
                type(error).__name__,
                extra={"event": log_events.HOOK_FAILED, "hook": VERB_HOOK, "plugin": module},
            )
    return True


def other_modules(paths: Iterable[str] | None = None) -> list[str] | None:
    """Name the modules of our entry-point group in distributions other than ktrans.

    Looks where `importlib.metadata` looks: `entry_points.txt` in the `*.dist-info` and `*.egg-info`
    folders of `sys.path`. None if there is a path entry that is not a folder (a zip file): only the
    real thing can tell then.
    """
    modules: list[str] = []
    for path in dict.fromkeys(sys.path if paths is None else paths):
        try:
            found = list(os.scandir(path or "."))
        except FileNotFoundError:
            continue
        except OSError:
            return None
        for entry in found:
            modules += _modules(entry.path, entry.name)
    return modules


def _modules(path: str, name: str) -> Iterator[str]:
    if not name.endswith((".dist-info", ".egg-info")) or _OWN.match(name):
        return
    try:
        with open(os.path.join(path, "entry_points.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return
    section = _SECTION.search(text)
    if section is not None:
        yield from (point["module"] for point in _POINT.finditer(section["body"]))


def _verb_hook(module: str) -> Callable[..., Any] | None:
    try:
        hook = getattr(importlib.import_module(module), VERB_HOOK, None)
    except (Exception, SystemExit):  # noqa: BLE001 - `ktrans plugins` tells; help must come
        return None
    return hook if hasattr(hook, f"{GROUP}_impl") else None
