"""The table of benchmark cases: which contenders do what with which input."""

from __future__ import annotations

from typing import Any

from cases_remote import REMOTE
from contender import (
    CONTENDERS,
    FOURTEEN,
    TEN,
    Case,
    Contender,
    and_native,
    azure_peer,
    gcp_peer,
    ktrans,
    peer,
    program,
    rollup,
    rollup_peer,
    script,
)
from short_runs import bare_imports, short_run

_BARE = "The peers convert only; ktrans checks and enriches as well."
_SAME = "The same columns on both sides, no enrichers; ktrans checks every field."
_TOTALS = "Bytes, packets and flows, all in one window; DuckDB keeps no state."


def executors(**common: Any) -> tuple[Contender, ...]:
    """Return `ktrans run` with each executor, with one worker and with two."""
    return tuple(
        ktrans(
            name=f"{executor}, {workers} worker{'s' * (workers > 1)}",
            engine={"executor": executor, "workers": workers, "task_size": "8MiB"},
            **common,
        )
        for executor in ("threads", "processes")
        for workers in (1, 2)
    )


CASES: dict[str, Case] = {
    "v2-same": Case(
        "AWS v2 to Parquet, the same 14 columns",
        "v2",
        (
            *and_native(ktrans(columns=FOURTEEN, enrich=False)),
            peer("duckdb", "v2"),
            peer("polars", "v2"),
        ),
        _SAME,
    ),
    "v2-parquet": Case(
        "AWS v2 to Parquet, all columns",
        "v2",
        (
            *and_native(ktrans()),
            peer("duckdb", "v2"),
            peer("polars", "v2"),
            script("python", "v2-few"),
        ),
        _BARE + " The Python loop enriches too, over fewer rows.",
    ),
    "v5-parquet": Case(
        "AWS v5 (29 fields) to Parquet, all columns",
        "v5",
        (*and_native(ktrans()), peer("duckdb", "v5"), peer("polars", "v5")),
        _BARE,
    ),
    "v5-ten": Case(
        "AWS v5 (29 fields) to Parquet, the same 10 columns",
        "v5",
        (ktrans(columns=TEN, enrich=False), peer("duckdb", "v5-ten"), peer("polars", "v5-ten")),
        _SAME,
    ),
    "v2-jsonl-same": Case(
        "AWS v2 to JSON lines, the same 14 columns",
        "v2",
        (
            *and_native(ktrans("jsonl", columns=FOURTEEN, enrich=False)),
            peer("duckdb", "v2", "jsonl"),
            peer("polars", "v2", "jsonl"),
        ),
        _SAME,
    ),
    "v2-jsonl": Case(
        "AWS v2 to JSON lines, all columns",
        "v2",
        (
            *and_native(ktrans("jsonl")),
            peer("duckdb", "v2", "jsonl"),
            peer("polars", "v2", "jsonl"),
        ),
        _BARE,
    ),
    "v2-influx": Case(
        "AWS v2 to line protocol",
        "v2",
        (*and_native(ktrans("influx")), peer("duckdb", "v2", "influx")),
        "DuckDB writes three tags and escapes nothing.",
    ),
    "small-objects": Case(
        "AWS v2 in objects of 10,000 rows to Parquet",
        "v2-small",
        (ktrans(), peer("duckdb", "v2"), peer("polars", "v2")),
        _BARE,
    ),
    "azure-parquet": Case(
        "Azure VNet to Parquet, all columns",
        "azure",
        (
            ktrans(decoder="azure_vnet", enrich=False),
            azure_peer("duckdb"),
            azure_peer("python", "azure-few"),
        ),
        "DuckDB unnests and splits; the Python loop does so over fewer rows. Neither checks.",
    ),
    "gcp-parquet": Case(
        "Google Cloud to Parquet, every field",
        "gcp",
        (*and_native(ktrans(decoder="gcp_vpc", enrich=False)), gcp_peer("all")),
        "DuckDB finds the types by itself and writes nested columns; it checks nothing.",
    ),
    "gcp-ten": Case(
        "Google Cloud to Parquet, the same 10 columns",
        "gcp",
        (*and_native(ktrans(decoder="gcp_vpc", columns=TEN, enrich=False)), gcp_peer("ten")),
        "DuckDB is told the types; it checks no addresses and no ranges.",
    ),
    "executors": Case(
        "Executors: AWS v2 to Parquet, enriched",
        "v2-many",
        executors(),
        "The number of workers is how many tasks run at a time; each has one core to decode with.",
        rounds=3,
    ),
    "executors-gcp": Case(
        "Executors: Google Cloud to Parquet, every field",
        "gcp",
        executors(decoder="gcp_vpc", enrich=False),
        rounds=3,
    ),
    "rollup-100": Case(
        "Rollup, about 100 groups",
        "v2-parts",
        (
            rollup("10m", "account_id", "action", "protocol"),
            rollup_peer(600, "account-id", "action", "protocol"),
        ),
        "By account, action, protocol and ten minutes; DuckDB keeps no state.",
    ),
    "rollup-100k": Case(
        "Rollup, about 100,000 groups",
        "v2-parts",
        (rollup("1d", "dst_port", "protocol"), rollup_peer(86_400, "dstport", "protocol")),
        f"By port and protocol. {_TOTALS}",
    ),
    "rollup-1m": Case(
        "Rollup, about 1,000,000 groups",
        "v2-parts",
        (
            rollup("1d", "interface_id", "dst_port"),
            rollup_peer(86_400, "interface-id", "dstport"),
        ),
        f"By interface and port. {_TOTALS}",
    ),
    "partitions": Case(
        "AWS v2 to Parquet, in one file and in a file for each interface",
        "v2",
        (
            ktrans(name="one file", enrich=False),
            ktrans(name="300 interfaces", enrich=False, path="out/{interface_id}/"),
            ktrans(
                name="2,000 interfaces",
                dataset="v2-hosts",
                enrich=False,
                path="out/{interface_id}/",
            ),
        ),
        "A Parquet file of all columns costs a few milliseconds, however small it is.",
    ),
    "bad-lines": Case(
        "Malformed lines, compared with none",
        "v2",
        (
            ktrans(name="none"),
            ktrans(name="0.01 %", dataset="v2-bad-0.01pc"),
            ktrans(name="1 %", dataset="v2-bad-1pc"),
            ktrans(name="20 %", dataset="v2-bad-20pc"),
        ),
        "Rows are all lines; what was written holds the good ones, and only them.",
        rounds=3,
    ),
    "memory": Case(
        "Memory as the input grows",
        "v2",
        (
            ktrans(name="1x"),
            ktrans(name="3x", dataset="v2-6m"),
            ktrans(name="9x", dataset="v2-18m"),
        ),
        "Peak memory should not follow the input's size.",
        rounds=2,
    ),
    "engine-share": Case(
        "The engine's share: `ktrans run` and a short loop over the same stages",
        "v2",
        (ktrans(), script("stages")),
    ),
    **REMOTE,
    "start-up": Case(
        "Start-up",
        "",
        (
            program("ktrans --help", "-m", "ktrans", "--help", ours=True),
            program("empty click program", str(CONTENDERS / "empty_click.py"), "--help"),
        ),
    ),
    "startup": Case(
        "Runs that are mostly start-up",
        "",
        (
            bare_imports(),
            short_run("100 rows"),
            short_run("nothing to do", again=True),
            program("ktrans --help", "-m", "ktrans", "--help", ours=True),
        ),
        "AWS v2 text to Parquet, state in SQLite. Bare imports: pyarrow's CSV, Parquet and compute "
        "modules, sqlite3 and msgspec.",
    ),
}
