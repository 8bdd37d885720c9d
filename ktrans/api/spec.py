"""How a plugin declares a component, and the markers for its hooks.

Nothing heavy is imported here: this is what every plugin's registration module pulls in, even when
the user only asks for `ktrans --help`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pluggy

API_VERSION = 1
"""The version of the contract between host and plugins; a Spec may not ask for a higher one."""

Kind = Literal["source", "decoder", "enricher", "format", "sink", "state"]
KINDS: tuple[Kind, ...] = ("source", "decoder", "enricher", "format", "sink", "state")

Stability = Literal["stable", "beta", "experimental"]
Delivery = Literal["exactly_once", "at_least_once"]

hookspec = pluggy.HookspecMarker("ktrans")
hookimpl = pluggy.HookimplMarker("ktrans")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One component that a plugin offers, by the name that users write in `type:`.

    Attributes:
        kind: what it is in a pipeline.
        type: its name; lower case letters, digits and underscores, or `vendor/name`.
        build: `"module:attr"` of a callable `(config, context) -> component`, imported on first use.
        config: `"module:attr"` of its ComponentConfig model, imported when a pipeline is validated.
        summary: one line for lists.
        stability: what users may rely on.
        delivery: for sinks, what survives a crash: exactly once, or at least once.
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
    delivery: Delivery | None = None
    finite: bool = True
    sniff: str | None = None
    api: int = API_VERSION
