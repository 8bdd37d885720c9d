"""The table of benchmark cases: which contenders do what with which input."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets import Prepared

CONTENDERS = Path(__file__).parent / "contenders"
PYTHON = sys.executable

Command = Callable[[Prepared, Path], list[str]]
"""From the input and an empty folder, make the command. Rows are to go below `out/` there."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do it.

    Attributes:
        name: as printed.
        command: makes the command line.
        dataset: its input, if it is not that of the case.
        form: what it writes, so that it can be checked; "" for nothing.
        ours: whether it is ktrans; the others are its peers.
    """

    name: str
    command: Command
    dataset: str = ""
    form: str = "parquet"
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """Contenders that are compared with one another.

    Attributes:
        title: for people.
        dataset: the input, "" for none.
        contenders: the first is what the others are compared with.
        note: what to know when reading the figures.
    """

    title: str
    dataset: str
    contenders: tuple[Contender, ...]
    note: str = ""


PIPELINE = """\
name: bench
source: {{type: file, paths: ["{glob}"]}}
decoder: {{type: aws_vpc}}
enrichers:
  - {{type: cidr, table: "{networks}"}}
  - {{type: services}}
{select}sinks:
  - {{type: file, path: out/, format: {{type: {form}}}}}
rejects: {{type: file, path: rejects/}}
state: {{path: state.db}}
"""
PLAIN_PIPELINE = """\
name: bench
source: {{type: file, paths: ["{glob}"]}}
decoder: {{type: {decoder}}}
{enrich}sinks:
  - {{type: file, path: out/, format: {{type: parquet}}}}
rejects: {{type: file, path: rejects/}}
state: {{path: state.db}}
"""
_TEN = (
    "start_time, end_time, src_addr, dst_addr, src_port, dst_port, protocol, packets, bytes, action"
)


def ktrans(
    form: str = "parquet", *, name: str = "ktrans", dataset: str = "", ten: bool = False
) -> Contender:
    """Give `ktrans run` over a pipeline that enriches and writes `form`."""

    def command(data: Prepared, folder: Path) -> list[str]:
        config = folder / "pipeline.yaml"
        text = PIPELINE.format(
            glob=data.glob,
            networks=data.folder / "networks.csv",
            form=form,
            select=f"  - {{type: select, keep: [{_TEN}]}}\n" if ten else "",
        )
        config.write_text(text)
        return [PYTHON, "-m", "ktrans", "run", str(config)]

    return Contender(name, command, dataset, form, ours=True)


def peer(library: str, layout: str, form: str = "parquet") -> Contender:
    """Give DuckDB's or Polars's bare conversion."""

    def command(data: Prepared, folder: Path) -> list[str]:
        script = CONTENDERS / f"with_{library}.py"
        return [PYTHON, str(script), data.glob, layout, str(folder / "out" / "rows"), form]

    return Contender(library, command, form=form)


def script(name: str, dataset: str = "") -> Contender:
    """Give a script that takes the input, the prefix table and the output."""

    def command(data: Prepared, folder: Path) -> list[str]:
        networks = str(data.folder / "networks.csv")
        out = str(folder / "out" / "rows.parquet")
        return [PYTHON, str(CONTENDERS / f"with_{name}.py"), data.glob, networks, out]

    return Contender(name, command, dataset)


def plain(decoder: str, *, ten: bool = False) -> Contender:
    """Give `ktrans run` over a log as it comes, all columns or ten of them."""

    def command(data: Prepared, folder: Path) -> list[str]:
        config = folder / "pipeline.yaml"
        enrich = f"enrichers:\n  - {{type: select, keep: [{_TEN}]}}\n" if ten else ""
        config.write_text(PLAIN_PIPELINE.format(glob=data.glob, decoder=decoder, enrich=enrich))
        return [PYTHON, "-m", "ktrans", "run", str(config)]

    return Contender("ktrans", command, ours=True)


def azure_peer(library: str, dataset: str = "") -> Contender:
    """Give a script that takes Azure VNet flow logs and the output."""

    def command(data: Prepared, folder: Path) -> list[str]:
        out = str(folder / "out" / "rows.parquet")
        return [PYTHON, str(CONTENDERS / f"azure_{library}.py"), data.glob, out]

    return Contender(library, command, dataset)


def gcp_peer(what: str) -> Contender:
    """Give DuckDB's bare conversion of log entries: every field, or ten columns."""

    def command(data: Prepared, folder: Path) -> list[str]:
        out = str(folder / "out" / "rows.parquet")
        return [PYTHON, str(CONTENDERS / "gcp_duckdb.py"), data.glob, what, out]

    return Contender("duckdb", command)


def program(name: str, *words: str, ours: bool = False) -> Contender:
    """Give a command that reads and writes nothing."""
    return Contender(name, lambda _data, _folder: [PYTHON, *words], form="", ours=ours)


_BARE = "The peers convert only; ktrans normalises, checks and enriches as well."

CASES: dict[str, Case] = {
    "v2-parquet": Case(
        "AWS v2 text (gzip) to Parquet",
        "v2",
        (ktrans(), peer("duckdb", "v2"), peer("polars", "v2"), script("python", "v2-few")),
        _BARE + " The Python loop enriches too, over fewer rows.",
    ),
    "v5-parquet": Case(
        "AWS v5 text of 29 fields (gzip) to Parquet",
        "v5",
        (ktrans(), peer("duckdb", "v5"), peer("polars", "v5")),
        _BARE,
    ),
    "v5-ten": Case(
        "AWS v5 text of 29 fields (gzip), 10 columns of it to Parquet",
        "v5",
        (ktrans(ten=True), peer("duckdb", "v5-ten"), peer("polars", "v5-ten")),
        _BARE,
    ),
    "v2-influx": Case(
        "AWS v2 text (gzip) to line protocol",
        "v2",
        (ktrans("influx"), peer("duckdb", "v2", "influx")),
        "DuckDB writes three tags and escapes nothing.",
    ),
    "v2-jsonl": Case(
        "AWS v2 text (gzip) to JSON lines",
        "v2",
        (ktrans("jsonl"), peer("duckdb", "v2", "jsonl"), peer("polars", "v2", "jsonl")),
        _BARE,
    ),
    "small-objects": Case(
        "Many objects of 10,000 rows (gzip) to Parquet",
        "v2-small",
        (ktrans(), peer("duckdb", "v2"), peer("polars", "v2")),
        _BARE,
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
    ),
    "azure-parquet": Case(
        "Azure VNet flow logs (gzip) to Parquet",
        "azure",
        (plain("azure_vnet"), azure_peer("duckdb"), azure_peer("python", "azure-few")),
        "DuckDB unnests and splits; the Python loop does so over fewer rows. Neither checks.",
    ),
    "gcp-parquet": Case(
        "GCP VPC flow logs (gzip) to Parquet, every field",
        "gcp",
        (plain("gcp_vpc"), gcp_peer("all")),
        "DuckDB finds the types by itself and writes nested columns; it checks nothing.",
    ),
    "gcp-ten": Case(
        "GCP VPC flow logs (gzip), 10 columns of them to Parquet",
        "gcp",
        (plain("gcp_vpc", ten=True), gcp_peer("ten")),
        "DuckDB is told the types; it checks no addresses and no ranges.",
    ),
    "engine-share": Case(
        "The engine's share: `ktrans run` and a short loop over the same stages",
        "v2",
        (ktrans(), script("stages")),
    ),
    "start-up": Case(
        "Start-up",
        "",
        (
            program("ktrans --help", "-m", "ktrans", "--help", ours=True),
            program("empty click program", str(CONTENDERS / "empty_click.py"), "--help"),
        ),
    ),
}
