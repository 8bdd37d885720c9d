"""Answers one question cheaply: could any plugin add verbs to the command line?

`importlib.metadata` costs more than the rest of `ktrans --help` together. When no other
distribution names the entry-point group, or none of the modules named there has the hook, there is
nothing to ask it.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator

GROUP = "ktrans"
VERB_HOOK = "ktrans_add_commands"

_OWN = re.compile(rf"{GROUP}(-\d[^-]*)?\.(dist|egg)-info$")
_SECTION = re.compile(rf"^\[{GROUP}\]\s*$(?P<body>.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_POINT = re.compile(r"^\s*[^#=\s][^=]*=\s*(?P<module>[\w.]+)", re.MULTILINE)


def may_add_verbs() -> bool:
    """Tell whether a plugin other than our own may have verbs.

    Imports the plugins' registration modules, which are light. If the environment says which
    plugins may load, the answer is yes: then nothing is imported here that must not be.
    """
    if os.environ.keys() & {"KTRANS_PLUGINS", "KTRANS_DISABLE_PLUGINS", "KTRANS_PLUGINS_DIR"}:
        return True
    modules = other_modules()
    return modules is None or any(_has_verbs(module) for module in modules)


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


def _has_verbs(module: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), VERB_HOOK)
    except (Exception, SystemExit):  # noqa: BLE001 - `ktrans plugins` tells; help must come
        return False
