"""The contract between ktrans and its plugins: all names that a plugin implements or raises.

The toolbox is `ktrans.kit`, test contracts are in `ktrans.testing`; the rest of ktrans is internal.

The import block is the one list of names. They are imported on first use, so that a registration
module, which needs only `Spec` and `hookimpl`, loads neither pyarrow nor pydantic.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktrans.api.accelerator import Accelerator as Accelerator
    from ktrans.api.accelerator import Coded as Coded
    from ktrans.api.accelerator import FieldKind as FieldKind
    from ktrans.api.accelerator import JsonReader as JsonReader
    from ktrans.api.accelerator import JsonShape as JsonShape
    from ktrans.api.accelerator import LineReader as LineReader
    from ktrans.api.accelerator import LineShape as LineShape
    from ktrans.api.accelerator import Maps as Maps
    from ktrans.api.accelerator import Numbers as Numbers
    from ktrans.api.accelerator import Plain as Plain
    from ktrans.api.accelerator import ReadJson as ReadJson
    from ktrans.api.accelerator import ReadLines as ReadLines
    from ktrans.api.accelerator import RowPart as RowPart
    from ktrans.api.clock import Clock as Clock
    from ktrans.api.component import Component as Component
    from ktrans.api.component import Context as Context
    from ktrans.api.component import Dataset as Dataset
    from ktrans.api.component import Health as Health
    from ktrans.api.component import Limits as Limits
    from ktrans.api.component import Reach as Reach
    from ktrans.api.component import Registry as Registry
    from ktrans.api.config import ComponentConfig as ComponentConfig
    from ktrans.api.decoder import Decoded as Decoded
    from ktrans.api.decoder import Decoder as Decoder
    from ktrans.api.decoder import Head as Head
    from ktrans.api.decoder import Sniff as Sniff
    from ktrans.api.enricher import Enricher as Enricher
    from ktrans.api.enricher import Scope as Scope
    from ktrans.api.errors import AccessError as AccessError
    from ktrans.api.errors import ConfigError as ConfigError
    from ktrans.api.errors import ConfigErrors as ConfigErrors
    from ktrans.api.errors import ExitCode as ExitCode
    from ktrans.api.errors import FencedError as FencedError
    from ktrans.api.errors import InterruptedRunError as InterruptedRunError
    from ktrans.api.errors import KtransError as KtransError
    from ktrans.api.errors import LockedError as LockedError
    from ktrans.api.errors import PluginError as PluginError
    from ktrans.api.errors import RejectError as RejectError
    from ktrans.api.errors import RetryableError as RetryableError
    from ktrans.api.errors import RowsError as RowsError
    from ktrans.api.errors import RunError as RunError
    from ktrans.api.errors import SplitChangedError as SplitChangedError
    from ktrans.api.errors import SplitError as SplitError
    from ktrans.api.errors import StageLostError as StageLostError
    from ktrans.api.errors import StateError as StateError
    from ktrans.api.errors import TruncatedError as TruncatedError
    from ktrans.api.errors import UnavailableError as UnavailableError
    from ktrans.api.errors import UsageError as UsageError
    from ktrans.api.errors import Where as Where
    from ktrans.api.errors import WorkerLostError as WorkerLostError
    from ktrans.api.executor import Executor as Executor
    from ktrans.api.executor import Work as Work
    from ktrans.api.format import Encoded as Encoded
    from ktrans.api.format import Format as Format
    from ktrans.api.format import FormatWriter as FormatWriter
    from ktrans.api.log_events import LogEvent as LogEvent
    from ktrans.api.log_events import LogField as LogField
    from ktrans.api.payload import BytesPayload as BytesPayload
    from ktrans.api.payload import Payload as Payload
    from ktrans.api.payload import Split as Split
    from ktrans.api.rejects import REJECT_SCHEMA as REJECT_SCHEMA
    from ktrans.api.rejects import reject_batch as reject_batch
    from ktrans.api.sink import EpochId as EpochId
    from ktrans.api.sink import Receipt as Receipt
    from ktrans.api.sink import Refused as Refused
    from ktrans.api.sink import Sink as Sink
    from ktrans.api.sink import TaskId as TaskId
    from ktrans.api.sink import Writer as Writer
    from ktrans.api.source import Budget as Budget
    from ktrans.api.source import Memory as Memory
    from ktrans.api.source import Plan as Plan
    from ktrans.api.source import Source as Source
    from ktrans.api.source import WritesFolder as WritesFolder
    from ktrans.api.spec import API_VERSION as API_VERSION
    from ktrans.api.spec import KINDS as KINDS
    from ktrans.api.spec import DeliveryGuarantee as DeliveryGuarantee
    from ktrans.api.spec import Kind as Kind
    from ktrans.api.spec import Spec as Spec
    from ktrans.api.spec import hookimpl as hookimpl
    from ktrans.api.spec import hookspec as hookspec
    from ktrans.api.state import Database as Database
    from ktrans.api.state import Queryable as Queryable
    from ktrans.api.state import StateStore as StateStore
    from ktrans.api.state import Transaction as Transaction
    from ktrans.api.stateful import EpochAccounting as EpochAccounting
    from ktrans.api.stateful import EpochContext as EpochContext
    from ktrans.api.stateful import StatefulEnricher as StatefulEnricher
    from ktrans.api.stateful import StateSnapshot as StateSnapshot
    from ktrans.api.stateful import StateUpdate as StateUpdate
    from ktrans.api.table import Table as Table
    from ktrans.api.table import TableFile as TableFile
    from ktrans.api.table import TableLayout as TableLayout
    from ktrans.api.table import TableMark as TableMark
    from ktrans.api.table import TablePart as TablePart
    from ktrans.api.table import TableStore as TableStore

_MODULES = (
    *("spec", "errors", "log_events", "clock", "config", "component", "payload", "source"),
    *("decoder", "enricher", "stateful", "format", "sink", "state", "executor", "rejects"),
    *("table", "accelerator"),
)
"""In this order they are asked for a name: those that import nothing heavy come first."""


def __getattr__(name: str) -> Any:
    if name in {*_MODULES, "hooks"}:
        return importlib.import_module(f"{__name__}.{name}")
    if not name.startswith("_"):
        for module in _MODULES:
            contents = vars(importlib.import_module(f"{__name__}.{module}"))
            if name in contents:
                return globals().setdefault(name, contents[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
