"""Registers the `geoip` enricher. Imports neither pyarrow nor maxminddb."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components of this plugin."""
    return [
        Spec(
            kind="enricher",
            type="geoip",
            build="ktrans_geoip.enricher:GeoipEnricher",
            config="ktrans_geoip.enricher:GeoipEnricherConfig",
            summary="Country, city and network operator of addresses",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Return the explanations of this plugin's error codes."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
