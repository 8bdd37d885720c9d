"""What a run is about, for those who look on: where rows come from, where they go, their columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ktrans.api import KtransError
from ktrans.engine.assemble import Assembly, BoundSink
from ktrans.engine.failures import as_ktrans
from ktrans.engine.graph import type_name
from ktrans.registry.redaction import redact


def about(assembly: Assembly) -> dict[str, Any]:
    """Give `inputs` and `outputs` as the hooks have them (see `ktrans.api.hooks`)."""
    source = assembly.source
    outputs = [part for bound in assembly.sinks for part in _outputs("sink", bound)]
    if assembly.rejects is not None:
        outputs += _outputs("rejects", assembly.rejects)
    return {
        "decoder": assembly.decoder.config.type,
        "enrichers": [enricher.config.type for _, enricher in assembly.enrichers],
        "inputs": _parts("source", "source", source),
        "outputs": outputs,
    }


def told(error: BaseException) -> dict[str, str]:
    """Give an error as the hooks have it: `code`, `type` and `message`, without secrets."""
    known = error if isinstance(error, KtransError) else as_ktrans(error)
    return {
        "code": known.code,
        "type": type(error).__name__,
        "message": redact(known.message),
    }


def _parts(kind: str, name: str, component: Any) -> list[dict[str, Any]]:
    part = {"component": name, "kind": kind, "type": component.config.type}
    return [
        {**part, "namespace": redact(dataset.namespace), "name": redact(dataset.name)}
        for dataset in component.datasets()
    ] or [{**part, "namespace": None, "name": None}]


def _outputs(kind: str, bound: BoundSink) -> list[dict[str, Any]]:
    columns = [_column(field) for field in bound.schema]
    return [
        {**part, "delivery": bound.delivery, "columns": columns}
        for part in _parts(kind, bound.entry.id, bound.sink)
    ]


def _column(field: pa.Field) -> dict[str, str]:
    described = (field.metadata or {}).get(b"description", b"").decode(errors="replace")
    return {"name": field.name, "type": type_name(field.type), "description": described}
