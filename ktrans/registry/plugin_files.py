"""Loads plugins that are single files: every `*.py` of a folder that the user names."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

from ktrans.api.errors import PluginError

FOLDER = "KTRANS_PLUGINS_DIR"
PACKAGE = "ktrans_plugins_dir"
"""The package of the imported modules: a Spec refers to them by `__name__`."""


def plugin_files(folder: str) -> list[Path]:
    """List the plugin files of a folder by name; names that begin with _ or . are skipped.

    Raises:
        PluginError: the folder does not exist or cannot be read.
    """
    try:
        found = sorted(Path(folder).expanduser().iterdir())
    except OSError as error:
        raise PluginError(
            f"the folder of plugins {folder} cannot be read: {error.strerror}",
            code="plugins_dir",
            hint=f"{FOLDER} or --plugins-dir names a folder of Python files",
        ) from error
    return [path for path in found if path.suffix == ".py" and path.name[0] not in "._"]


def import_file(path: Path) -> ModuleType:
    """Import a file as a module; errors of the file are passed on."""
    import importlib.util

    name = f"{PACKAGE}.{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}"
    package = sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    package.__path__ = []
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
