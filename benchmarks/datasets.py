"""Makes the benchmarks' input with ktrans's generator, once, and counts what is in it.

    python benchmarks/datasets.py NAME ROWS

The counts come from another road than the contenders': DuckDB over the text, the json module for
Azure's documents and GCP's entries, or for input with malformed lines a comparison, line by line, with the same input without them.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE / "data"


@dataclass(frozen=True, slots=True)
class Dataset:
    """One input.

    Attributes:
        log: which of the generator's logs.
        rows: at full size.
        rows_per_object: 0 for a single object.
        bad: share of malformed lines.
        quick_rows: rows for `--quick`.
        hosts: how many interfaces log.
    """

    log: str
    rows: int
    rows_per_object: int = 0
    bad: float = 0.0
    quick_rows: int = 200_000
    hosts: int = 300


DATASETS = {
    "v2": Dataset("aws_vpc_v2", 2_000_000),
    "v5": Dataset("aws_vpc_v5", 1_000_000),
    "v2-parts": Dataset("aws_vpc_v2", 2_000_000, 100_000),
    "v2-many": Dataset("aws_vpc_v2", 4_000_000, 100_000, quick_rows=400_000),
    "v2-few": Dataset("aws_vpc_v2", 200_000, quick_rows=50_000),
    "v2-hosts": Dataset("aws_vpc_v2", 2_000_000, hosts=2_000),
    "v2-small": Dataset("aws_vpc_v2", 2_000_000, 10_000),
    "v2-tiny": Dataset("aws_vpc_v2", 1_800, quick_rows=1_800),
    "v2-bad-0.01pc": Dataset("aws_vpc_v2", 2_000_000, bad=0.0001),
    "v2-bad-1pc": Dataset("aws_vpc_v2", 2_000_000, bad=0.01),
    "v2-bad-20pc": Dataset("aws_vpc_v2", 2_000_000, bad=0.2),
    "v2-6m": Dataset("aws_vpc_v2", 6_000_000, quick_rows=600_000),
    "v2-18m": Dataset("aws_vpc_v2", 18_000_000, quick_rows=1_800_000),
    "azure": Dataset("azure_vnet", 1_000_000, 250_000),
    "azure-few": Dataset("azure_vnet", 100_000, quick_rows=50_000),
    "gcp": Dataset("gcp_vpc", 500_000, 50_000, quick_rows=100_000),
}

NETWORKS = 2_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """An input on disk.

    Attributes:
        folder: where it is.
        glob: of its objects.
        records: how many it has, malformed ones too.
        rows: how many of them are well formed.
        packets, bytes: sums over those.
    """

    folder: Path
    glob: str
    records: int
    rows: int
    packets: int
    bytes: int


def where(name: str, *, quick: bool) -> Path:
    """Give the folder of an input."""
    data = DATASETS[name]
    return DATA / f"{name}-{data.quick_rows if quick else data.rows}"


def load(name: str, *, quick: bool) -> Prepared | None:
    """Give an input if it was made."""
    folder = where(name, quick=quick)
    counts = folder / "counts.json"
    if not counts.exists():
        return None
    values = json.loads(counts.read_text())
    return Prepared(folder, str(folder / "objects" / "*.gz"), **values)


def prepare(dataset: str, *, quick: bool) -> Prepared | None:
    """Give an input, made now if it was not made before."""
    if not dataset:
        return None
    data = load(dataset, quick=quick)
    if data is None:
        print(f"  making {where(dataset, quick=quick).name} ...", flush=True)
        words = [sys.executable, str(HERE / "datasets.py"), dataset, "quick" if quick else "full"]
        subprocess.run(words, check=True)
        data = load(dataset, quick=quick)
    return data


def make(name: str, *, quick: bool) -> None:
    """Make an input in a folder of its own; the counts are written last and say that it is whole."""
    from ktrans_generate.source import GenerateSourceConfig, write_files

    data = DATASETS[name]
    rows = data.quick_rows if quick else data.rows
    folder = where(name, quick=quick)
    shutil.rmtree(folder, ignore_errors=True)
    config = GenerateSourceConfig(
        log=data.log,
        rows=rows,
        rows_per_object=data.rows_per_object or rows,
        compression="gzip",
        bad_ratio=data.bad,
        nodata_ratio=0,
        hosts=data.hosts,
        duration=max(300, rows // 500),
    )
    write_files(folder / "objects", config)
    _write_networks(folder / "networks.csv")
    if data.log == "azure_vnet":
        counts = _count_azure(folder / "objects")
    elif data.log == "gcp_vpc":
        counts = _count_gcp(folder / "objects")
    else:
        counts = _count_good(config) if data.bad else _count(folder / "objects" / "*.log.gz")
    (folder / "counts.json").write_text(json.dumps(counts | {"records": rows}))


def _write_networks(path: Path) -> None:
    """Write a prefix table: the hosts' subnets, and many networks outside."""
    lines = ["prefix,name,environment"]
    lines += [f"10.{a}.{s * 16}.0/20,net-{a}-{s},prod" for a in range(2) for s in range(3)]
    outside = range(NETWORKS - len(lines) + 1)
    lines += [
        f"198.{18 + (i >> 10 & 1)}.{i >> 2 & 255}.{(i & 3) * 64}/26,peer-{i},external"
        for i in outside
    ]
    path.write_text("\n".join(lines) + "\n")


def _count(glob: Path) -> dict[str, int]:
    import duckdb

    query = (
        "select count(*), sum(packets::bigint), sum(bytes::bigint) "
        f"from read_csv('{glob}', delim=' ', header=true, all_varchar=true, quote='')"
    )
    return dict(zip(("rows", "packets", "bytes"), duckdb.execute(query).fetchall()[0], strict=True))


def _count_azure(folder: Path) -> dict[str, int]:
    counts = {"rows": 0, "packets": 0, "bytes": 0}
    for path in folder.glob("*.json.gz"):
        document = json.loads(gzip.decompress(path.read_bytes()))
        for record in document["records"]:
            for flow in record["flowRecords"]["flows"]:
                for group in flow["flowGroups"]:
                    fields = [text.split(",") for text in group["flowTuples"]]
                    counts["rows"] += len(fields)
                    counts["packets"] += sum(int(f[9]) for f in fields)
                    counts["bytes"] += sum(int(f[10]) for f in fields)
    return counts


def _count_gcp(folder: Path) -> dict[str, int]:
    counts = {"rows": 0, "packets": 0, "bytes": 0}
    for path in folder.glob("*.json.gz"):
        with gzip.open(path) as lines:
            for line in lines:
                flow = json.loads(line)["jsonPayload"]
                counts["rows"] += 1
                counts["packets"] += int(flow.get("packets_sent", 0))
                counts["bytes"] += int(flow.get("bytes_sent", 0))
    return counts


def _count_good(config: object) -> dict[str, int]:
    from ktrans_generate.objects import pieces

    plain = config.model_copy(update={"compression": "none"})
    clean = plain.model_copy(update={"bad_ratio": 0.0})
    counts = {"rows": 0, "packets": 0, "bytes": 0}
    pairs = zip(pieces(plain.recipe(), 0), pieces(clean.recipe(), 0), strict=True)
    next(pairs)
    for mixed, good in pairs:
        lines = zip(bytes(mixed).split(b"\n"), bytes(good).split(b"\n"), strict=True)
        for seen, line in lines:
            if seen == line and line:
                fields = line.split(b" ")
                counts["rows"] += 1
                counts["packets"] += int(fields[8])
                counts["bytes"] += int(fields[9])
    return counts


if __name__ == "__main__":
    make(sys.argv[1], quick=sys.argv[2] == "quick")
