"""The data that observers and plugin hooks receive, in the form that `ktrans.api.hooks` documents."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa

from ktrans.api import AccessError
from ktrans.engine.assembly import Assembly, BoundSink
from ktrans.engine.failures import to_ktrans_error
from ktrans.flow.descriptions import type_text
from ktrans.registry.redaction import redact
from ktrans.state.epochs import Epoch


def describe_components(assembly: Assembly) -> dict[str, Any]:
    """Return the decoder, the enrichers, and what the pipeline reads (`inputs`) and writes."""
    outputs = [part for bound in assembly.sinks for part in _outputs("sink", bound)]
    outputs += [part for bound in assembly.violations for part in _outputs("violations", bound)]
    if assembly.rejects is not None:
        outputs += _outputs("rejects", assembly.rejects)
    return {
        "decoder": assembly.decoder.config.type,
        "enrichers": [enricher.config.type for _, enricher in assembly.enrichers],
        "inputs": _datasets("source", "source", assembly.source),
        "outputs": outputs,
    }


def describe_error(error: BaseException) -> dict[str, str]:
    """Return the `code`, `type` and `message` of an error, without secrets."""
    converted = to_ktrans_error(error)
    return {
        "code": converted.code,
        "type": type(error).__name__,
        "message": redact(converted.message),
    }


def describe_epoch(epoch: Epoch, began: float, *, resumed: bool) -> dict[str, Any]:
    """Return what is known of an epoch before it is processed."""
    return {
        "id": epoch.number,
        "began": began,
        "planned": epoch.planned.isoformat(),
        "tasks": len(epoch.tasks),
        "splits": len(epoch.splits),
        "input_bytes": sum(split.size or 0 for split in epoch.splits),
        "resumed": resumed,
        "status": str(epoch.status),
        "replay": epoch.replay,
        "last": epoch.last,
    }


def _replayed(epoch: Epoch) -> list[Any]:
    """Return the epochs whose rejects a replay has read."""
    return list(dict.fromkeys(split.data.get("epoch") for split in epoch.splits))


def summarize_epoch(epoch: Epoch, seconds: float) -> dict[str, Any]:
    """Return what an epoch has read and written; this is also what the state store keeps of it."""
    quarantined = list(epoch.quarantined.values())
    return {
        "splits": len(epoch.splits) - len(quarantined),
        "input_bytes": sum(s.size or 0 for s in epoch.splits if s.key not in epoch.quarantined),
        "seconds": round(seconds, 3),
        "ledger": epoch.ledger,
        "sinks": {
            sink: {
                "rows": sum(r.rows for r in receipts),
                "bytes": sum(r.bytes for r in receipts),
                "outputs": len({output for r in receipts for output in r.outputs}),
            }
            for sink, receipts in epoch.receipts.items()
        },
        "quarantined": [msgspec.structs.asdict(item) for item in quarantined],
        "access": any(item.code == AccessError.default_code for item in quarantined),
        "torn": epoch.extra.get("torn", []),
        "strange": epoch.extra.get("strange", {}),
        **({"replay": True, "replayed": _replayed(epoch)} if epoch.replay else {}),
        **({"unjudged": epoch.extra["expect"]} if "expect" in epoch.extra else {}),
    }


def _datasets(kind: str, name: str, component: Any) -> list[dict[str, Any]]:
    part = {"component": name, "kind": kind, "type": component.config.type}
    return [
        {**part, "namespace": redact(dataset.namespace), "name": redact(dataset.name)}
        for dataset in component.datasets()
    ] or [{**part, "namespace": None, "name": None}]


def _outputs(kind: str, bound: BoundSink) -> list[dict[str, Any]]:
    columns = [_column(field) for field in bound.schema]
    return [
        {**part, "delivery": bound.delivery, "columns": columns}
        for part in _datasets(kind, bound.entry.id, bound.sink)
    ]


def _column(field: pa.Field) -> dict[str, str]:
    text = (field.metadata or {}).get(b"description", b"").decode(errors="replace")
    return {"name": field.name, "type": type_text(field.type), "description": text}
