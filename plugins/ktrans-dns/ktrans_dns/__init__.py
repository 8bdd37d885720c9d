"""Registers the `dns` enricher. Imports neither pyarrow nor dnspython."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components of this plugin."""
    return [
        Spec(
            kind="enricher",
            type="dns",
            build="ktrans_dns.enricher:DnsEnricher",
            config="ktrans_dns.enricher:DnsEnricherConfig",
            summary="Names of addresses from DNS (PTR)",
        )
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Return the explanations of this plugin's error codes."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]


@hookimpl
def ktrans_log_events() -> list[str]:
    """Return the module with this plugin's log events."""
    return ["ktrans_dns.log_events"]
