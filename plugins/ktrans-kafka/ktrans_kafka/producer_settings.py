"""What a producer is made with, and the arguments that records become."""

from __future__ import annotations

from itertools import repeat
from typing import Any

from ktrans.api import Context
from ktrans_kafka.client import connection
from ktrans_kafka.encode import Records
from ktrans_kafka.sink_config import KafkaSinkConfig


def producer_settings(config: KafkaSinkConfig, context: Context) -> dict[str, Any]:
    """Give the settings of a producer, without what makes it transactional."""
    return connection(config, context) | {
        "enable.idempotence": config.idempotence,
        "acks": "all",
        "compression.type": config.compression,
        "linger.ms": round(config.linger * 1000),
        "batch.size": config.batch_size,
        "batch.num.messages": 1_000_000,  # the size is what bounds a batch
        "message.max.bytes": config.max_record_size,
        "queue.buffering.max.messages": 0,  # the size is what bounds the queue
        "queue.buffering.max.kbytes": max(1024, config.buffer_size // 1024),
        "partitioner": config.partitioner,
        "message.timeout.ms": int(config.delivery_timeout * 1000),
        # A callback a record costs half of the speed: only failures are told.
        "delivery.report.only.error": True,
    }


def columns_of(records: Records) -> list[Any]:
    """Give the arguments of `produce` after the topic, by columns, no more than are needed."""
    columns: list[Any] = [records.values]
    if records.timestamps is None and records.headers is None:
        return columns if records.keys is None else [*columns, records.keys]
    nothing, any_partition = repeat(None), repeat(-1)
    columns += [records.keys or nothing, any_partition, nothing, nothing]
    columns.append(records.timestamps or repeat(0))
    return columns if records.headers is None else [*columns, records.headers]


def cut(column: Any, start: int, end: int) -> Any:
    """Give a part of such an argument; one that is the same in every record is as it is."""
    return column if isinstance(column, repeat) else column[start:end]
