"""The catalogue: all components by kind and type, and the calls of plugin hooks."""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

from ktrans.api.errors import ConfigError, ConfigErrors, KtransError, PluginError
from ktrans.api.spec import API_VERSION, KINDS, Kind, Spec
from ktrans.registry import log_events
from ktrans.registry.plugins import Loaded, Offer, PluginInfo, load_plugins
from ktrans.registry.suggest import listed, near

if TYPE_CHECKING:
    from ktrans.api.accelerator import Accelerator
    from ktrans.api.component import Context
    from ktrans.api.config import ComponentConfig
    from ktrans.registry.entry_points import PluginPoint

_log = logging.getLogger("ktrans.registry")
NATIVE = "KTRANS_NATIVE"
"""Where this is 0, no native code is used."""
_STATUS_CODES = {"broken": "plugin_broken", "disabled": "plugin_disabled"}


class Catalogue:
    """All installed components, loaded on first use (implements `ktrans.api.Registry`).

    Args:
        environ, entry_points, extra: see `ktrans.registry.plugins.load_plugins`; with `extra`,
            tests and programs add components that are not installed.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        entry_points: Iterable[PluginPoint] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        self._arguments = (environ, entry_points, extra)
        self._found: Loaded | None = None

    @property
    def _loaded(self) -> Loaded:
        if self._found is None:
            self._found = load_plugins(*self._arguments)
        return self._found

    @property
    def installed(self) -> bool:
        """Whether another process on this machine finds the same components."""
        return all(argument is None for argument in self._arguments)

    def plugins(self) -> list[PluginInfo]:
        """List all plugins, broken ones included, ktrans itself first."""
        return list(self._loaded.plugins)

    def specs(self, kind: Kind) -> list[Spec]:
        """List the usable components of a kind, sorted by type.

        Components that two plugins have, or that need a later ktrans, are not usable.
        """
        return [
            offers[0].spec
            for (its_kind, _), offers in sorted(self._loaded.offers.items())
            if its_kind == kind and len(offers) == 1 and offers[0].spec.api <= API_VERSION
        ]

    def spec(self, kind: Kind, name: str) -> Spec:
        """Return the spec of a component.

        Raises:
            ConfigError: no component has that type (`unknown_component`, field `type`).
            PluginError: two plugins have it, or its plugin is broken or too new.
        """
        return self._offer(kind, name).spec

    def origin(self, kind: Kind, name: str) -> PluginInfo:
        """Return the plugin that has a component; raises as `spec` does."""
        return self._offer(kind, name).plugin

    def model(self, kind: Kind, name: str) -> type[ComponentConfig]:
        """Import the config model of a component; raises as `spec` and `load` do."""
        offer = self._offer(kind, name)
        model: type[ComponentConfig] = self._load_for(offer, offer.spec.config)
        return model

    def build(self, kind: Kind, config: ComponentConfig, context: Context) -> Any:
        """Build a component from its validated config; raises as `spec` and `load` do."""
        offer = self._offer(kind, config.type)
        return self._load_for(offer, offer.spec.build)(config, context)

    def config(self, kind: Kind, raw: dict[str, Any]) -> ComponentConfig:
        """Validate a raw mapping (with `type`) into the component's config model.

        Raises:
            ConfigError, ConfigErrors: with the wrong option in `field`, dotted if nested.
        """
        from ktrans.registry.validation import validate_component

        config, problems = validate_component(self, kind, raw)
        if problems:
            errors = [problem.error() for problem in problems]
            raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
        assert config is not None
        return config

    def load(self, reference: str) -> Any:
        """Import `"module:attr"`; the attribute may be dotted.

        Raises:
            PluginError: the module or the attribute does not exist.
        """
        module, _, attr = reference.partition(":")
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            raise PluginError(f"cannot import {module}: {error}", code="plugin_import") from error
        try:
            return reduce(getattr, attr.split("."), found)
        except AttributeError as error:
            raise PluginError(f"{module} has no {attr}", code="plugin_import") from error

    def resolve_secret(self, scheme: str, ref: str) -> str | None:
        """Resolve `${scheme:ref}` by a plugin; None if no plugin knows the scheme.

        Raises:
            PluginError: the plugin failed; the message never contains the secret.
        """
        for call, info in self._calls("ktrans_resolve_secret"):
            try:
                value = call(scheme=scheme, ref=ref)
            except KtransError:
                raise
            except Exception as error:
                raise PluginError(
                    f"the plugin {info.distribution} failed on ${{{scheme}:...}}: "
                    f"{type(error).__name__}: {error}",
                    code="secret_failed",
                ) from error
            if value is not None:
                return str(value)
        return None

    def accelerator(self) -> Accelerator | None:
        """Return the native code that a plugin offers; None without one, or if the user wants none.

        Plugins are asked once, so a hook that fails is logged once.
        """
        if os.environ.get(NATIVE, "") == "0":
            return None
        return self._offered_accelerator

    @cached_property
    def _offered_accelerator(self) -> Accelerator | None:
        usable = []
        for info, each in self.ask("ktrans_accelerator"):
            if each is None:
                continue
            from ktrans.api.accelerator import Accelerator

            if isinstance(each, Accelerator) and isinstance(getattr(each, "name", None), str):
                usable.append(each)
            else:
                error = TypeError(f"it returned {type(each).__name__}, no Accelerator with a name")
                _note_failure(info, "ktrans_accelerator", error)
        return usable[0] if usable else None

    def tell(self, hook: str, **arguments: object) -> None:
        """Call a hook of all plugins and ignore the results; one that fails is logged."""
        for _ in self.ask(hook, **arguments):
            pass

    def ask(self, hook: str, **arguments: object) -> Iterator[tuple[PluginInfo, Any]]:
        """Yield what a hook of each plugin returns, ours first; one that fails is logged."""
        for call, info in self._calls(hook):
            try:
                found = call(**arguments)
            except Exception as error:  # noqa: BLE001 - a hook must not stop a run
                _note_failure(info, hook, error)
            else:
                yield info, found

    def _calls(self, hook: str) -> Iterable[tuple[Callable[..., Any], PluginInfo]]:
        loaded = self._loaded
        for impl in getattr(loaded.manager.hook, hook).get_hookimpls():
            info = loaded.by_module[id(impl.plugin)]
            if info.status == "ok":
                yield _taking(impl.function, impl.argnames), info

    def _offer(self, kind: Kind, name: str) -> Offer:
        offers = self._loaded.offers.get((kind, name), [])
        if not offers:
            raise self._unknown(kind, name)
        if len(offers) > 1:
            names = " and ".join(offer.plugin.origin for offer in offers)
            raise PluginError(
                f"the {kind} {name} is in more than one plugin: {names}",
                code="plugin_conflict",
                hint="uninstall one of them, or name it in KTRANS_DISABLE_PLUGINS",
            )
        offer = offers[0]
        if offer.spec.api > API_VERSION:
            raise PluginError(
                f"the {kind} {name} of {offer.plugin.origin} is {offer.plugin.error}",
                code="plugin_too_new",
                hint=f"upgrade ktrans, or install an older {offer.plugin.distribution}",
            )
        return offer

    def _load_for(self, offer: Offer, reference: str) -> Any:
        try:
            return self.load(reference)
        except PluginError as error:
            spec, plugin = offer.spec, offer.plugin
            raise PluginError(
                f"the {spec.kind} {spec.type} of {plugin.origin} cannot be loaded: {error.message}",
                code="plugin_broken",
                hint=f"install {plugin.distribution} again, with its dependencies",
            ) from error

    def _unknown(self, kind: Kind, name: str) -> KtransError:
        from ktrans.registry.wording import an

        well_known: dict[str, str] = {}
        for _, types in self.ask("ktrans_known_types"):
            well_known = {**types, **well_known}
        plugin = well_known.get(name, f"ktrans-{name}".replace("_", "-"))
        for info in self._loaded.plugins:
            if info.status not in {"broken", "disabled"}:
                continue
            if info.distribution == plugin or info.name == name:
                return PluginError(
                    f"the {kind} {name} is not available: the plugin {info.origin} is {info.status}: "
                    f"{info.error}",
                    code=_STATUS_CODES[info.status],
                    hint="`ktrans plugins` lists all plugins with their state",
                )
        known = [spec.type for spec in self.specs(kind)]
        hint = f"installed {kind}s: {listed(known)}"
        elsewhere = [k for k in KINDS if (k, name) in self._loaded.offers]
        if elsewhere:
            hint = f"{name} is {' and '.join(map(an, elsewhere))}; {hint}"
        elif name in well_known:
            hint = f"{name} comes with the plugin {plugin}, which is not installed; {hint}"
        elif close := near(name, known):
            hint = f"did you mean {close}? {hint}"
        broken = [info.distribution for info in self._loaded.plugins if info.status == "broken"]
        if broken:
            hint += f"; broken plugins (see `ktrans plugins`): {listed(broken)}"
        return ConfigError(
            f"unknown {kind} {shown(name)}", field="type", code="unknown_component", hint=hint
        )


def _note_failure(info: PluginInfo, hook: str, error: Exception) -> None:
    """Keep and log that a hook of a plugin failed."""
    info.error = f"the hook {hook} failed: {type(error).__name__}: {error}"
    _log.warning(
        "the hook %s of the plugin %s failed: %s: %s",
        hook,
        info.distribution,
        type(error).__name__,
        error,
        extra={"event": log_events.HOOK_FAILED, "hook": hook, "plugin": info.distribution},
    )


def first_party() -> Catalogue:
    """Return a catalogue of ktrans and the plugins of its own family, as the docs list them."""
    from ktrans.registry.builtin import WELL_KNOWN

    ours = sorted({*WELL_KNOWN.values(), "ktrans-openlineage", "ktrans-otel", "ktrans-report"})
    return Catalogue(environ={"KTRANS_PLUGINS": ",".join(ours)})


def shown(name: str) -> str:
    """Return a type name for messages: quoted and cut if it is unusual."""
    return name if re.fullmatch(r"[\w./-]{1,64}", name) else repr(name[:64])


def _taking(function: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """Wrap a hook that takes only some of the arguments, as pluggy does."""
    return lambda **arguments: function(**{name: arguments[name] for name in names})
