"""Building the format that a sink's config names."""

from __future__ import annotations

from typing import Any

from ktrans.api import ComponentConfig, ConfigError, Context, Format


def build_format(config: ComponentConfig, context: Context) -> Format[Any]:
    """Build a format from its validated config.

    Args:
        config: of the format; a default that says no more than its type is completed first.
        context: the sink's, whose registry knows the formats.

    Raises:
        ConfigError: there is no registry to ask.
    """
    if context.registry is None:
        raise ConfigError(
            f"nothing here knows the format {config.type!r}",
            code="no_registry",
            hint="give the sink a context with a registry",
        )
    if type(config) is ComponentConfig:
        config = context.registry.config("format", {"type": config.type})
    made: Format[Any] = context.registry.build("format", config, context)
    return made
