"""The log events of ktrans-openlineage."""

from __future__ import annotations

from ktrans.api import LogEvent

LINEAGE_NOT_SENT = LogEvent(
    "lineage_not_sent",
    "warning",
    "The OpenLineage receiver did not accept an event; the run is not affected.",
)
