"""All that a plugin author imports. Nothing else of ktrans is public.

Names are imported on first use, so that a plugin's registration module, which needs only `Spec` and
`hookimpl`, pulls in neither pyarrow nor pydantic.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktrans.api.clock import Clock
    from ktrans.api.component import Component, Context, Dataset, Limits, Registry
    from ktrans.api.config import ComponentConfig
    from ktrans.api.decoder import Decoded, Decoder, Head, Sniff
    from ktrans.api.enricher import Enricher
    from ktrans.api.errors import (
        AccessError,
        ConfigError,
        ConfigErrors,
        ExitCode,
        FencedError,
        InterruptedRunError,
        KtransError,
        LedgerError,
        LockedError,
        PluginError,
        RejectError,
        RejectLimitError,
        RetryableError,
        RunError,
        SplitChangedError,
        SplitError,
        StageLostError,
        StateError,
        TruncatedError,
        UnavailableError,
        UsageError,
        Where,
    )
    from ktrans.api.format import Encoded, Format, FormatWriter, RowFormat
    from ktrans.api.log_events import LogEvent, LogField
    from ktrans.api.payload import BytesPayload, Payload
    from ktrans.api.rejects import REJECT_SCHEMA, reject_batch
    from ktrans.api.sink import EpochId, Receipt, Refused, Sink, TaskId, Writer
    from ktrans.api.source import Budget, Memory, Plan, Source, Split, WritesFolder
    from ktrans.api.spec import API_VERSION, KINDS, Kind, Spec, hookimpl, hookspec
    from ktrans.api.stateful import (
        EpochAccounting,
        EpochContext,
        StatefulEnricher,
        StateSnapshot,
        StateUpdate,
    )

_HOMES = {
    "clock": ("Clock",),
    "component": ("Component", "Context", "Dataset", "Limits", "Registry"),
    "config": ("ComponentConfig",),
    "decoder": ("Decoded", "Decoder", "Head", "Sniff"),
    "enricher": ("Enricher",),
    "errors": (
        "AccessError",
        "ConfigError",
        "ConfigErrors",
        "ExitCode",
        "FencedError",
        "InterruptedRunError",
        "KtransError",
        "LedgerError",
        "LockedError",
        "PluginError",
        "RejectError",
        "RejectLimitError",
        "RetryableError",
        "RunError",
        "SplitChangedError",
        "SplitError",
        "StageLostError",
        "StateError",
        "TruncatedError",
        "UnavailableError",
        "UsageError",
        "Where",
    ),
    "format": ("Encoded", "Format", "FormatWriter", "RowFormat"),
    "log_events": ("LogEvent", "LogField"),
    "payload": ("BytesPayload", "Payload"),
    "rejects": ("REJECT_SCHEMA", "reject_batch"),
    "sink": ("EpochId", "Receipt", "Refused", "Sink", "TaskId", "Writer"),
    "source": ("Budget", "Memory", "Plan", "Source", "Split", "WritesFolder"),
    "stateful": (
        "EpochAccounting",
        "StateUpdate",
        "StateSnapshot",
        "StatefulEnricher",
        "EpochContext",
    ),
    "spec": ("API_VERSION", "KINDS", "Kind", "Spec", "hookimpl", "hookspec"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "API_VERSION",
    "KINDS",
    "REJECT_SCHEMA",
    "AccessError",
    "Budget",
    "BytesPayload",
    "Clock",
    "Component",
    "ComponentConfig",
    "ConfigError",
    "ConfigErrors",
    "Context",
    "Dataset",
    "Decoded",
    "Decoder",
    "Encoded",
    "Enricher",
    "EpochAccounting",
    "EpochContext",
    "EpochId",
    "ExitCode",
    "FencedError",
    "Format",
    "FormatWriter",
    "Head",
    "InterruptedRunError",
    "Kind",
    "KtransError",
    "LedgerError",
    "Limits",
    "LockedError",
    "LogEvent",
    "LogField",
    "Memory",
    "Payload",
    "Plan",
    "PluginError",
    "Receipt",
    "Refused",
    "Registry",
    "RejectError",
    "RejectLimitError",
    "RetryableError",
    "RowFormat",
    "RunError",
    "Sink",
    "Sniff",
    "Source",
    "Spec",
    "Split",
    "SplitChangedError",
    "SplitError",
    "StageLostError",
    "StateError",
    "StateSnapshot",
    "StateUpdate",
    "StatefulEnricher",
    "TaskId",
    "TruncatedError",
    "UnavailableError",
    "UsageError",
    "Where",
    "Writer",
    "WritesFolder",
    "hookimpl",
    "hookspec",
    "reject_batch",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)
