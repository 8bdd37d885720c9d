"""Makes the flow logs of examples/aws-logs: run it again and the same records come out.

    python examples/make_example_logs.py [folder]

The records are made up by ktrans's own generator, with a few malformed lines put in by hand. The
accounts are those of AWS's documentation; addresses are of private, documentation and test ranges.
"""
# ruff: noqa: INP001

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from ktrans.sources._synth.objects import Recipe, pieces
from ktrans.sources.generate import GenerateSourceConfig

START = datetime(2026, 5, 4, 8, tzinfo=UTC)
WINDOW = timedelta(minutes=5)
REGIONS = {"111122223333": "eu-central-1", "444455556666": "us-east-1"}
FLOW_LOGS = {
    "v2": "fl-0b9a5f2f6d1c3e478",
    "v5": "fl-04e7d25ab81f90c36",
    "tgw": "fl-0c61f8e2b7a94d503",
    "parquet": "fl-07f3b1d9e5a2c8640",
}
NETWORKS = [
    ("10.0.0.0/20", "shop-web", "web team", "production"),
    ("10.0.16.0/20", "shop-app", "shop team", "production"),
    ("10.0.32.0/20", "shop-data", "data team", "production"),
    ("10.1.0.0/20", "lab-web", "web team", "test"),
    ("10.1.16.0/20", "lab-app", "shop team", "test"),
    ("10.1.32.0/20", "lab-data", "data team", "test"),
    ("10.0.0.0/8", "company", "network team", "unknown"),
    ("2001:db8:1::/48", "shop-v6", "network team", "production"),
    ("2001:db8:2::/48", "lab-v6", "network team", "test"),
    ("198.18.0.0/16", "partners", "sales", "external"),
    ("198.19.128.0/17", "payment", "finance", "external"),
]
MALFORMED = {
    # object number: (line it stands behind, what it says)
    1: [
        (40, "2 111122223333 eni-0379b37262fccd967 10.0.32.14 198.18.7.9 443 51200 6 4"),
        (41, "2 111122223333 eni-0379b37262fccd967 10.0.0.300 198.18.7.9 443 51201 6 4 320 1777881900 1777881930 ACCEPT OK"),
        (90, "2 111122223333 eni-0379b37262fccd967 10.0.32.14 198.18.7.9 https 51202 6 4 320 1777881900 1777881930 ACCEPT OK"),
    ],
    3: [
        (12, "2 444455556666 eni-0016ee376e3ded783 10.1.16.11 198.18.7.9 70000 51203 6 4 320 1777881600 1777881630 ACCEPT OK"),
        (77, "2 444455556666 eni-0016ee376e3ded783 10.1.16.11 198.18.7.9 443 51204 6 4.5 320 1777881600 1777881630 ACCEPT OK"),
    ],
    5: [
        (5, "2 444455556666 eni-0016ee376e3ded783 10.1.16.11 198.18.7.9 443 51205 6 4 320 1777882200 1777882230 ACCEPT OK and more"),
        (6, '{"note": "this line is not a record at all"}'),
    ],
}  # fmt: skip


def main(folder: Path) -> None:
    """Write all files below a folder: one window of five minutes for each kind of log and file."""
    for number, account in enumerate(REGIONS):
        for window in range(3):
            index = number * 3 + window
            text = _insert(_rows("aws_vpc_v2", window, account), MALFORMED.get(index, []))
            _write(folder, account, "v2", window, text, zipped=window < 2)  # noqa: PLR2004
    for window in (3, 4):
        text = "\n".join(_rows("aws_vpc_v5", window, "111122223333"))
        _write(folder, "111122223333", "v5", window, text)
    _write_parquet(folder, 5)
    _write(folder, "111122223333", "tgw", 6, "\n".join(_rows("aws_tgw", 6, "111122223333")))
    with (folder / "networks.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows([("prefix", "name", "owner", "environment"), *NETWORKS])


def _recipe(log: str, **more: Any) -> Recipe:
    """Give seven objects, one for each window of five minutes, over one made-up network."""
    options: dict[str, Any] = {
        "log": log,
        "rows": 7 * 600,
        "rows_per_object": 600,
        "seed": 20,
        "start": START,
        "duration": 7 * int(WINDOW.total_seconds()),
        "hosts": 36,
        "ipv6_ratio": 0.12,
        "icmp_ratio": 0.05,
        "nodata_ratio": 0.02,
    }
    return GenerateSourceConfig.model_validate(options | more).recipe()


def _bounds(window: int) -> tuple[int, int]:
    begin = int((START + window * WINDOW).timestamp())
    return begin, begin + int(WINDOW.total_seconds())


def _rows(log: str, window: int, account: str) -> list[str]:
    """Give the header, and the rows of one account that end within a window."""
    head, *rows = b"".join(pieces(_recipe(log), window)).decode().splitlines()
    end = head.split(" ").index("end")
    begin, behind = _bounds(window)
    return [
        head,
        *(r for r in rows if account in r[:40] and begin <= int(r.split(" ")[end]) < behind),
    ]


def _insert(rows: list[str], extra: list[tuple[int, str]]) -> str:
    return "\n".join(_merged(rows, dict(extra)))


def _merged(rows: list[str], extra: dict[int, str]) -> Iterator[str]:
    for number, row in enumerate(rows, 1):
        yield row
        if number in extra:
            yield extra[number]


def _key(folder: Path, account: str, kind: str, window: int, ending: str) -> Path:
    """Name an object as AWS does; the time is that of the window in which its records end."""
    region, time = REGIONS[account], START + window * WINDOW
    stem = f"{account}_vpcflowlogs_{region}_{FLOW_LOGS[kind]}_{time:%Y%m%dT%H%MZ}"
    mark = hashlib.blake2b(stem.encode(), digest_size=4).hexdigest()
    parts = f"AWSLogs/{account}/vpcflowlogs/{region}/{time:%Y/%m/%d}"
    path = folder / parts / f"{stem}_{mark}.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(
    folder: Path, account: str, kind: str, window: int, text: str, *, zipped: bool = True
) -> None:
    data = text.encode() + b"\n"
    if zipped:
        _key(folder, account, kind, window, "log.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    else:
        _key(folder, account, kind, window, "log").write_bytes(data)


def _write_parquet(folder: Path, window: int) -> None:
    recipe = _recipe("aws_vpc_v5", container="parquet", compression="gzip")
    table = pq.read_table(io.BytesIO(b"".join(pieces(recipe, window))))
    begin, behind = _bounds(window)
    account = "444455556666"
    table = table.filter(
        (pc.field("account_id") == account)
        & (pc.field("end") >= begin)
        & (pc.field("end") < behind)
    )
    path = _key(folder, account, "parquet", window, "log.parquet")
    pq.write_table(table, path, compression="gzip")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "aws-logs")
