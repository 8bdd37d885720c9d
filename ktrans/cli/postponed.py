"""Postpones the import of modules until something in them is used.

Large modules are imported at the top of ours, as usual: `import pyarrow.compute as pc`. A run that finds
nothing to do needs few of them. For those that are named here, the import statement makes a proxy, and the
first use of an attribute imports the module.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_LOCK = threading.Lock()


class _NoDocs:
    """Stands for pyarrow's parser of docstrings, which finds nothing."""

    def __init__(self, text: str) -> None:
        del text

    def __getitem__(self, section: str) -> tuple[()]:
        return ()


class _NeverUsed:
    """Stands for a class of which nothing is an instance as long as its module is not imported."""


POSTPONED: dict[str, dict[str, Any]] = {
    "pyarrow.compute": {},
    "pyarrow.csv": {},
    "pyarrow.json": {},
    "pyarrow.parquet": {},
    "difflib": {},
    # For each array pyarrow asks whether it is one of numpy's masked arrays, which are not used here.
    "numpy.ma": {"MaskedArray": _NeverUsed},
    "random": {},
    "secrets": {},
    "shlex": {},
    "shutil": {},
    "subprocess": {},
    "tempfile": {},
    "tenacity": {},
    # On import, pyarrow.compute parses the docstrings of all options to write those of its functions.
    "pyarrow.vendored.docscrape": {"NumpyDocString": _NoDocs},
    # This module finds plugins of pydantic, which are not used here. It imports the email package.
    "pydantic.plugin._loader": {"get_plugins": tuple},
}
"""Modules that are postponed, and what stands for some of their attributes until they are imported."""


_PLAIN = {"pyarrow.vendored.docscrape", "pydantic.plugin._loader"}
"""Modules, no packages, of which others import names that something stands for."""


class _Proxy(ModuleType):
    """Stands for a module that is not imported yet."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__" and self.__name__ in _PLAIN:
            raise AttributeError(name)  # `from module import name` asks whether it is a package
        module = _imported(self)
        value = getattr(module, name)
        self.__dict__.update(module.__dict__)
        return value


class _Finder:
    """Finds proxies for the modules that are to be postponed; the import system asks it first."""

    def __init__(self) -> None:
        self.names: dict[str, Mapping[str, Any]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to make a proxy; None for other modules."""
        del path, target
        return ModuleSpec(name, self) if name in self.names else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make an empty module."""
        return ModuleType(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Make it a proxy; nothing is imported."""
        module.__dict__.update(self.names[module.__name__])
        module.__class__ = _Proxy


_FINDER = _Finder()


def postpone(modules: Mapping[str, Mapping[str, Any]]) -> None:
    """Have modules imported when an attribute of theirs is used that nothing stands for.

    Modules of which names are imported (`from module import name`) are imported then.
    """
    _FINDER.names.update((name, own) for name, own in modules.items() if name not in sys.modules)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def _imported(proxy: ModuleType) -> ModuleType:
    """Import what a proxy stands for; threads that need it at once wait for the one import."""
    name = proxy.__name__
    with _LOCK:
        if sys.modules.get(name) is proxy:
            _FINDER.names.pop(name, None)
            del sys.modules[name]
    return importlib.import_module(name)
