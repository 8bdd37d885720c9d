"""Settings of a producer, and the arguments of `produce`."""

from __future__ import annotations

from itertools import repeat
from typing import Any

from ktrans.api import Context
from ktrans_kafka.client import connection
from ktrans_kafka.encode import Records
from ktrans_kafka.sink_config import KafkaSinkConfig


def producer_settings(config: KafkaSinkConfig, context: Context) -> dict[str, Any]:
    """Return the settings of a producer without those of transactions."""
    defaults = {"partitioner": "murmur2_random"}  # as Java clients have it
    own = {
        "enable.idempotence": config.idempotence,
        "acks": "all",
        "compression.type": config.compression,
        "linger.ms": round(config.linger * 1000),
        "batch.num.messages": 1_000_000,  # only the size limits a batch
        "message.max.bytes": config.max_record_size,
        "queue.buffering.max.messages": 0,  # only the size limits the queue
        "queue.buffering.max.kbytes": max(1024, config.buffer_size // 1024),
        "message.timeout.ms": int(config.delivery_timeout * 1000),
        # A callback per record halves the speed, so only failures are reported.
        "delivery.report.only.error": True,
    }
    return defaults | connection(config, context) | own


def columns_of(records: Records) -> list[Any]:
    """Return the arguments of `produce` after the topic as columns, as many as are needed."""
    columns: list[Any] = [records.values]
    if records.timestamps is None and records.headers is None:
        return columns if records.keys is None else [*columns, records.keys]
    nothing, any_partition = repeat(None), repeat(-1)
    columns += [records.keys or nothing, any_partition, nothing, nothing]
    columns.append(records.timestamps or repeat(0))
    return columns if records.headers is None else [*columns, records.headers]


def cut(column: Any, start: int, end: int) -> Any:
    """Return a slice of an argument column; a constant one is returned unchanged."""
    return column if isinstance(column, repeat) else column[start:end]
