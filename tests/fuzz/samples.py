"""Good logs to damage: what `generate` makes, the golden inputs, and Parquet made of rows."""

import io
import json
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from ktrans_generate.catalogue import LOGS
from ktrans_generate.objects import pieces
from ktrans_generate.source import GenerateSourceConfig

from ktrans.registry.catalogue import Catalogue

GOLDEN = Path(__file__).parents[1] / "golden"
BESIDE = (".expected.jsonl", ".rejects.jsonl", ".options.json")
FIELDS = {"src_addr": "srcaddr", "dst_addr": "dstaddr", "dst_port": "port", "bytes": "bytes"}
OPTIONS = {kind: {"fields": FIELDS} for kind in ("flow_json", "flow_csv", "flow_kv")}
MADE = {"aws_cloudwatch_envelope": "aws_vpc", "aws_cloudwatch_export": "aws_vpc"}
"""The decoder of logs that `generate` makes, where the names differ."""
ROWS = [
    {"srcaddr": f"10.0.0.{n}", "dstaddr": "192.0.2.1", "port": n, "bytes": n * 100, "start": n}
    for n in range(1, 20)
]


@cache
def decoders() -> tuple[str, ...]:
    """Return the types of all decoders."""
    return tuple(spec.type for spec in Catalogue().specs("decoder"))


@cache
def samples() -> dict[str, tuple[bytes, ...]]:
    """Return good logs by the decoder that reads them."""
    found: dict[str, list[bytes]] = {kind: [] for kind in decoders()}
    for log in LOGS:
        raw = {"log": log, "rows": 40, "rows_per_object": 40, "seed": 3, "hosts": 9}
        recipe = GenerateSourceConfig.model_validate(raw).recipe()
        kind = MADE.get(log) or max((k for k in found if log.startswith(k)), key=len)
        found[kind].append(b"".join(pieces(recipe, 0)))
    for path in sorted(GOLDEN.glob("*/*")):
        options = path.with_suffix(".options.json").exists()
        if path.parent.name in found and not (options or path.name.endswith(BESIDE)):
            found[path.parent.name].append(path.read_bytes())
    lines = [json.dumps(row).encode() for row in ROWS]
    found["flow_json"] += [b"\n".join(lines), b"[" + b",".join(lines) + b"]"]
    header = b",".join(name.encode() for name in ROWS[0])
    texts = [",".join(map(str, row.values())).encode() for row in ROWS]
    found["flow_csv"].append(b"\n".join([header, *texts]))
    pairs = [" ".join(f"{name}={value}" for name, value in row.items()).encode() for row in ROWS]
    found["flow_kv"].append(b"\n".join([*pairs, b'srcaddr="10.0.0.1" dstaddr=1.1.1.1 note="a b"']))
    for kind in ("aws_vpc", "ktrans", "ocsf"):
        found[kind].append(_parquet())
    found["auto"] = [data for kind in found if kind != "auto" for data in found[kind]]
    return {kind: tuple(data) for kind, data in found.items()}


def _parquet() -> bytes:
    """Return a Parquet file with columns that several decoders know."""
    rows = [
        {
            **{name: row[name] for name in ("srcaddr", "dstaddr", "bytes")},
            "src_addr": row["srcaddr"],
            "dst_addr": row["dstaddr"],
            "protocol": 6,
            "action": "ACCEPT",
            "version": 2,
            "start": 1_777_882_369 + row["start"],
            "time": 1_777_882_369_000,
            "src_endpoint": {"ip": row["srcaddr"], "port": 80},
            "dst_endpoint": {"ip": row["dstaddr"], "port": 443},
            "class_uid": 4001,
            "attrs": [("a", "b")],
        }
        for row in ROWS
    ]
    table = pa.Table.from_pylist(rows)
    attrs = pa.array([row["attrs"] for row in rows], pa.map_(pa.string(), pa.string()))
    table = table.set_column(table.column_names.index("attrs"), "attrs", attrs)
    made = io.BytesIO()
    pq.write_table(table, made)
    return made.getvalue()
