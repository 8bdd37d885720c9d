"""AWS VPC flow logs of the default format as CloudWatch Logs delivers them.

Two forms (Amazon CloudWatch Logs User Guide): lines exported to S3, with the event's time in front,
and the JSON envelopes of a subscription, which follow one another without a line end.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans_generate.catalogue import Log
from ktrans_generate.columns import Coded
from ktrans_generate.flows import Flows
from ktrans_generate.logs.aws import DAMAGES, V2
from ktrans_generate.logs.json_sheet import stamps

_EVENTS = 100
"""Events in an envelope, all of one log stream."""


class Export(Log):
    """Lines of a CloudWatch export: no header, an RFC 3339 time before each record."""

    row_bytes = 140

    def rows(self, flows: Flows, bad: np.ndarray, kinds: np.ndarray, first: int) -> pa.Array:
        """Write lines."""
        del first
        times = stamps(flows.start, ".000Z ").array().cast(pa.binary())
        records = V2.records(flows, bad, kinds, damages=DAMAGES)
        return pc.binary_join_element_wise(times, records, b"\n", b"")


class Envelope(Log):
    """Subscription envelopes: one JSON document for every hundred events of an interface."""

    ending = ".json"
    row_bytes = 220
    block = _EVENTS

    def rows(self, flows: Flows, bad: np.ndarray, kinds: np.ndarray, first: int) -> pa.Array:
        """Write events, each with the text of its envelope before and after it."""
        world = flows.world
        number = np.arange(first, first + len(flows))
        opens = number % _EVENTS == 0
        closes = number % _EVENTS == _EVENTS - 1
        opens[0] = closes[-1] = True
        heads = [
            f'{{"messageType":"DATA_MESSAGE","owner":"{account}","logGroup":"vpc-flow-logs",'
            f'"logStream":"{interface}-all","subscriptionFilters":["all-records"],"logEvents":['
            for account, interface in zip(
                world.accounts.to_pylist(), world.interfaces.to_pylist(), strict=True
            )
        ]
        before = Coded.of([",", *heads], np.where(opens, flows.host + 1, 0)).array()
        behind = Coded.of(["", "]}"], closes).array()
        records = V2.records(flows, bad, kinds, damages=DAMAGES[:2]).cast(pa.string())
        ids = pc.utf8_lpad(
            pc.cast(pa.array(number + flows.start * 1_000_000), pa.string()), 56, "3"
        )
        times = pc.cast(pa.array(flows.start * 1000), pa.string())
        return pc.binary_join_element_wise(
            before,
            '{"id":"',
            ids,
            '","timestamp":',
            times,
            ',"message":"',
            records,
            '"}',
            behind,
            "",
        ).cast(pa.binary())


EXPORT = Export()
ENVELOPE = Envelope()
