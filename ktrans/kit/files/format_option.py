"""Builds the format that a sink's config names."""

from __future__ import annotations

from typing import Any

from ktrans.api import ComponentConfig, ConfigError, Context, Format


def build_format(config: ComponentConfig, context: Context) -> Format[Any]:
    """Build a format from its validated config.

    Args:
        config: of the format; a default that has only a type is completed first.
        context: the sink's, with a registry.

    Raises:
        ConfigError: the context has no registry.
    """
    if context.registry is None:
        raise ConfigError(
            f"without a registry there is no format {config.type!r}",
            code="no_registry",
            hint="give the sink a context with a registry",
        )
    if type(config) is ComponentConfig:
        config = context.registry.config("format", {"type": config.type})
    made: Format[Any] = context.registry.build("format", config, context)
    return made
