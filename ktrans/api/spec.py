"""How a plugin declares a component, and the markers for its hooks.

>>> from ktrans.api import Spec, hookimpl
>>> @hookimpl
... def ktrans_components():
...     return [
...         Spec(
...             kind="sink",
...             type="acme",
...             build="ktrans_acme.sink:AcmeSink",
...             config="ktrans_acme.sink:AcmeSinkConfig",
...             summary="Rows to the Acme API",
...             delivery="at_least_once",
...         )
...     ]

Every plugin's registration module imports this, even for `ktrans --help`: nothing heavy here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pluggy

API_VERSION = 1
"""The version of this contract; a Spec may not ask for a higher one."""

Kind = Literal["source", "decoder", "enricher", "format", "sink", "table", "state", "executor"]
KINDS: tuple[Kind, ...] = (
    *("source", "decoder", "enricher", "format", "sink", "table"),
    *("state", "executor"),
)

Stability = Literal["stable", "beta", "experimental"]
DeliveryGuarantee = Literal["exactly_once", "at_least_once"]

hookspec = pluggy.HookspecMarker("ktrans")
hookimpl = pluggy.HookimplMarker("ktrans")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One component that a plugin offers.

    Attributes:
        kind: its kind.
        type: its name in `type:`; lower case letters, digits and underscores, or `vendor/name`.
        build: `"module:attr"` of a callable `(config, context) -> component`, imported on first use.
        config: `"module:attr"` of its ComponentConfig model, imported when a pipeline is validated.
        summary: one line for lists.
        stability: what users may rely on.
        delivery: for sinks, the guarantee after a crash.
        finite: for sources, whether it ends by itself (then `--once` is the default).
        sniff: for decoders, `"module:attr"` of a function `(Head) -> Sniff | None` that `auto` asks.
        api: the API_VERSION that it was written for.
    """

    kind: Kind
    type: str
    build: str
    config: str
    summary: str
    stability: Stability = "beta"
    delivery: DeliveryGuarantee | None = None
    finite: bool = True
    sniff: str | None = None
    api: int = API_VERSION
