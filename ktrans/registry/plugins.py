"""Finds and loads the plugins.

A plugin that cannot be loaded is listed as broken, and fails only the pipelines that use it. pluggy's
own loader would stop at the first ImportError.
"""

from __future__ import annotations

import importlib.util
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import msgspec
import pluggy

import ktrans.api.hooks
from ktrans.api.errors import PluginError
from ktrans.api.spec import API_VERSION, KINDS, Spec
from ktrans.registry.entry_points import GROUP, PluginPoint, installed_points, normalized
from ktrans.registry.suggest import near

Status = Literal["ok", "broken", "disabled", "too_new"]

ALLOW = "KTRANS_PLUGINS"
DENY = "KTRANS_DISABLE_PLUGINS"
FOLDER = "KTRANS_PLUGINS_DIR"
PACKAGE = "ktrans_plugins_dir"
"""The package of the imported modules: a Spec refers to them by `__name__`."""


class PluginInfo(msgspec.Struct):
    """A plugin: its origin, its status and its components.

    Attributes:
        name: of its entry point.
        distribution: the package to install, upgrade or remove.
        version: of that distribution, or "".
        module: the module or file that is imported.
        status: `ok`, `broken` (see `error`), `disabled` by the environment, or `too_new`: it offers
            something written for a later ktrans.
        error: why it is not ok, or which hook of it failed last, and why; else empty.
        components: as `kind:type`, in the plugin's order.
        hooks: the known hooks that it implements.
        unknown_hooks: hooks that this version does not know: misspelt, or of a later version.
        conflicts: components that another plugin claims too, as `kind:type (distribution)`.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Status = "ok"
    error: str = ""
    components: list[str] = msgspec.field(default_factory=list)
    hooks: list[str] = msgspec.field(default_factory=list)
    unknown_hooks: list[str] = msgspec.field(default_factory=list)
    conflicts: list[str] = msgspec.field(default_factory=list)

    @property
    def origin(self) -> str:
        """Return distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def state(self) -> str:
        """Return the status; of a plugin that is ok, but had a hook fail, the failure instead."""
        return (self.error if self.status == "ok" else "") or self.status


class Offer(msgspec.Struct, frozen=True):
    """A component and the plugin that offers it."""

    spec: Spec
    plugin: PluginInfo


class Loaded(msgspec.Struct):
    """The loaded plugins.

    Attributes:
        manager: pluggy's, with all working plugins registered.
        plugins: all of them, working or not, our own first.
        offers: the offers of each (kind, type), in the order of loading.
        by_module: the plugin that a registered module belongs to, by the module's id.
    """

    manager: pluggy.PluginManager
    plugins: list[PluginInfo] = msgspec.field(default_factory=list)
    offers: dict[tuple[str, str], list[Offer]] = msgspec.field(default_factory=dict)
    by_module: dict[int, PluginInfo] = msgspec.field(default_factory=dict)


def load_plugins(
    environ: Mapping[str, str] | None = None,
    entry_points: Iterable[PluginPoint] | None = None,
    extra: Mapping[str, ModuleType | object] | None = None,
) -> Loaded:
    """Load all plugins that the environment allows.

    Args:
        environ: read for KTRANS_PLUGINS and KTRANS_DISABLE_PLUGINS (names of distributions or of
            entry points, separated by commas) and KTRANS_PLUGINS_DIR (a folder of plugins that are
            single files); the process's own by default.
        entry_points: instead of the installed ones.
        extra: objects with hooks that are not installed, by name.
    """
    environ = os.environ if environ is None else environ
    loaded = Loaded(pluggy.PluginManager(GROUP))
    loaded.manager.add_hookspecs(ktrans.api.hooks)
    for point in installed_points() if entry_points is None else entry_points:
        info = PluginInfo(point.name, point.distribution, point.version, point.value)
        _load(loaded, info, point.load, environ)
    folder = environ.get(FOLDER)
    for path in plugin_files(folder) if folder else ():
        info = PluginInfo(path.stem, path.name, "", str(path))
        _load(loaded, info, partial(import_file, path), environ)
    for name, module in (extra or {}).items():
        info = PluginInfo(name, name, "", getattr(module, "__name__", type(module).__name__))
        loaded.plugins.append(info)
        _register(loaded, info, module)
    _note_conflicts(loaded)
    return loaded


def _load(
    loaded: Loaded, info: PluginInfo, load: Callable[[], Any], environ: Mapping[str, str]
) -> None:
    loaded.plugins.append(info)
    if reason := _forbidden(info, environ):
        info.status, info.error = "disabled", reason
        return
    try:
        module = load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin does on import
        _break(info, error)
        return
    _register(loaded, info, module)


def _register(loaded: Loaded, info: PluginInfo, module: Any) -> None:
    manager = loaded.manager
    try:
        manager.register(module, name=f"{info.distribution}:{info.name}")
    except (ValueError, pluggy.PluginValidationError) as error:
        _break(info, error)
        return
    loaded.by_module[id(module)] = info
    for caller in manager.get_hookcallers(module) or ():
        if caller.has_spec():
            info.hooks.append(caller.name)
        else:
            info.unknown_hooks.append(caller.name)
    if info.unknown_hooks:
        info.error = "; ".join(_say_unknown_hook(name) for name in info.unknown_hooks)
    if "ktrans_components" in info.hooks:
        _collect(loaded, info, module)


def _collect(loaded: Loaded, info: PluginInfo, module: Any) -> None:
    try:
        specs = list(module.ktrans_components())
        for spec in specs:
            _check_spec(spec)
    except Exception as error:  # noqa: BLE001 - whatever a plugin does
        _break(info, error)
        return
    for spec in specs:
        info.components.append(f"{spec.kind}:{spec.type}")
        loaded.offers.setdefault((spec.kind, spec.type), []).append(Offer(spec, info))
        if spec.api > API_VERSION:
            info.status = "too_new"
            info.error = (
                f"written for version {spec.api} of the plugin interface; this ktrans has "
                f"version {API_VERSION}"
            )


def _check_spec(spec: Any) -> None:
    if not isinstance(spec, Spec):
        raise TypeError(f"ktrans_components returned a {type(spec).__name__} instead of a Spec")
    if spec.kind not in KINDS:
        raise ValueError(f"unknown kind {spec.kind!r}; the kinds are {', '.join(KINDS)}")


def _note_conflicts(loaded: Loaded) -> None:
    for (kind, name), offers in loaded.offers.items():
        for offer in offers:
            offer.plugin.conflicts.extend(
                f"{kind}:{name} ({other.plugin.origin})" for other in offers if other is not offer
            )


def _forbidden(info: PluginInfo, environ: Mapping[str, str]) -> str:
    """Return why the environment disables a plugin, or ""; ktrans itself cannot be disabled."""
    if info.distribution == GROUP:
        return ""
    names = {normalized(info.name), normalized(info.distribution)}
    if names & _listed(environ.get(DENY, "")):
        return f"named in {DENY}"
    if ALLOW in environ and not names & _listed(environ[ALLOW]):
        return f"not named in {ALLOW}"
    return ""


def _listed(text: str) -> set[str]:
    return {normalized(part) for part in text.split(",") if part.strip()}


def _break(info: PluginInfo, error: BaseException) -> None:
    info.status = "broken"
    info.error = f"{type(error).__name__}: {error}"


def _say_unknown_hook(name: str) -> str:
    known = [known for known in vars(ktrans.api.hooks) if known.startswith("ktrans_")]
    close = near(name, known)
    meant = f" (did you mean {close}?)" if close else ""
    return f"implements the hook {name}, which this version of ktrans does not know{meant}"


def plugin_files(folder: str) -> list[Path]:
    """List the plugin files of a folder by name; names that begin with _ or . are skipped.

    Raises:
        PluginError: the folder does not exist or cannot be read, or anybody may write there.
    """
    try:
        found = sorted(Path(folder).expanduser().iterdir())
        files = [path for path in found if path.suffix == ".py" and path.name[0] not in "._"]
        open_to_all = [path for path in (Path(folder).expanduser(), *files) if _any_may_write(path)]
    except (OSError, RuntimeError, ValueError) as error:
        raise PluginError(
            f"the folder of plugins {folder} cannot be read: {getattr(error, 'strerror', error)}",
            code="plugins_dir",
            hint=f"{FOLDER} or --plugins-dir names a folder of Python files",
        ) from error
    if open_to_all:
        raise PluginError(
            f"any user of this machine may write {open_to_all[0]}, whose code would be run",
            code="plugins_unsafe",
            hint=f"chmod o-w {open_to_all[0]}",
        )
    return files


def _any_may_write(path: Path) -> bool:
    """Return whether any user may write; not on a read-only file system, such as a ConfigMap's."""
    return bool(path.stat().st_mode & stat.S_IWOTH) and not (os.statvfs(path).f_flag & os.ST_RDONLY)


def import_file(path: Path) -> ModuleType:
    """Import a file as a module; errors of the file are passed on."""
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
