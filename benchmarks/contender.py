"""The parts of a case: who takes part, with which command, and how its output is checked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from datasets import Prepared

CONTENDERS = Path(__file__).parent / "contenders"
PYTHON = sys.executable

Command = Callable[[Prepared, Path], list[str]]
"""Makes a command from the input and an empty folder. Rows are to go below `out/` there."""

FOURTEEN = (
    "log_version", "account_id", "interface_id", "src_addr", "dst_addr", "src_port", "dst_port",
    "protocol", "packets", "bytes", "start_time", "end_time", "action", "log_status",
)  # fmt: skip
"""The columns of the fields of AWS's version 2: what the peers write."""

TEN = (
    "start_time", "end_time", "src_addr", "dst_addr", "src_port", "dst_port", "protocol",
    "packets", "bytes", "action",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do it.

    Attributes:
        name: as printed.
        command: makes the command line.
        dataset: its input, if it is not that of the case.
        form: what it writes, so that it can be checked; "" for nothing.
        ours: whether it is ktrans; the others are its peers.
        fetch: makes a command that moves the output to `out/` before the check, unmeasured.
        count: how many units it works through, if that is not the number of the input's records.
    """

    name: str
    command: Command
    dataset: str = ""
    form: str = "parquet"
    ours: bool = False
    fetch: Command | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """Contenders that are compared with one another.

    Attributes:
        title: for people.
        dataset: the input, "" for none.
        contenders: the first is what the others are compared with.
        note: what to know when reading the figures.
        servers: the servers that it needs (see `servers.py`); without them it is left out.
        unit: what is counted.
        rounds: at most so many rounds, for a case that takes long; 0 for no limit of its own.
    """

    title: str
    dataset: str
    contenders: tuple[Contender, ...]
    note: str = ""
    servers: tuple[str, ...] = ()
    unit: str = "rows"
    rounds: int = 0


def pipeline(folder: Path, source: Any, sink: Any, **sections: Any) -> list[str]:
    """Write a pipeline file and return the command that runs it."""
    tree = {
        "name": "bench",
        "source": source,
        "decoder": {"type": "aws_vpc"},
        "enrichers": [],
        "sinks": [sink],
        "rejects": {"type": "file", "path": "rejects/"},
        "state": {"path": "state.db"},
        **sections,
    }
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(tree, indent=1))
    return [PYTHON, "-m", "ktrans", "run", "--quiet", str(path)]


def files(data: Prepared) -> dict[str, Any]:
    """Return the source of the input's files."""
    return {"type": "file", "paths": [data.glob]}


def to_files(form: str = "parquet", **options: Any) -> dict[str, Any]:
    """Return a sink of files below `out/`."""
    return {"type": "file", "path": "out/", "format": {"type": form}, **options}


def enriched(data: Prepared) -> list[dict[str, Any]]:
    """Return the enrichers that look addresses up and name services."""
    return [{"type": "cidr", "table": str(data.folder / "networks.csv")}, {"type": "services"}]


def ktrans(
    form: str = "parquet",
    *,
    name: str = "ktrans",
    dataset: str = "",
    columns: Sequence[str] = (),
    enrich: bool = True,
    decoder: str = "aws_vpc",
    engine: dict[str, Any] | None = None,
    path: str = "out/",
) -> Contender:
    """Return `ktrans run` from files to files.

    Args:
        form: the format of the output.
        name: as printed.
        dataset: its input, if it is not that of the case.
        columns: the only columns that the sink writes.
        enrich: whether addresses are looked up and services named.
        decoder: the decoder.
        engine: the section `engine` of the pipeline file.
        path: where the output goes, below `out/`.
    """

    def command(data: Prepared, folder: Path) -> list[str]:
        options: dict[str, Any] = {"path": path}
        if columns:
            options["columns"] = list(columns)
        return pipeline(
            folder,
            files(data),
            to_files(form, **options),
            decoder={"type": decoder},
            enrichers=enriched(data) if enrich else [],
            engine=engine or {},
        )

    return Contender(name, command, dataset, form, ours=True)


def and_native(plain: Contender) -> tuple[Contender, ...]:
    """Return `ktrans run` without the native code, and with it where it is built.

    `bench.py` turns it off for all others.
    """
    if find_spec("ktrans_native") is None:
        return (plain,)

    def command(data: Prepared, folder: Path) -> list[str]:
        return ["env", "KTRANS_NATIVE=1", *plain.command(data, folder)]

    return plain, replace(plain, name="ktrans, native", command=command)


def rollup(window: str, *columns: str) -> Contender:
    """Return `ktrans run` that writes totals by window and columns."""

    def command(data: Prepared, folder: Path) -> list[str]:
        totals = {
            "type": "rollup",
            "window": window,
            "group_by": list(columns),
            "aggregates": {"bytes": "sum", "packets": "sum", "flows": "count"},
            "flush": "at_end",
        }
        return pipeline(folder, files(data), to_files(), enrichers=[totals])

    return Contender("ktrans", command, form="rollup", ours=True)


def rollup_peer(window_secs: int, *fields: str) -> Contender:
    """Return DuckDB's totals by window and fields."""

    def command(data: Prepared, folder: Path) -> list[str]:
        script = str(CONTENDERS / "rollup_duckdb.py")
        return [PYTHON, script, data.glob, str(folder / "out" / "rows"), str(window_secs), *fields]

    return Contender("duckdb", command, form="rollup")


def peer(library: str, layout: str, form: str = "parquet") -> Contender:
    """Return DuckDB's or Polars's bare conversion."""

    def command(data: Prepared, folder: Path) -> list[str]:
        script = CONTENDERS / f"with_{library}.py"
        return [PYTHON, str(script), data.glob, layout, str(folder / "out" / "rows"), form]

    return Contender(library, command, form=form)


def script(name: str, dataset: str = "") -> Contender:
    """Return a script that takes the input, the prefix table and the output."""

    def command(data: Prepared, folder: Path) -> list[str]:
        networks = str(data.folder / "networks.csv")
        out = str(folder / "out" / "rows.parquet")
        return [PYTHON, str(CONTENDERS / f"with_{name}.py"), data.glob, networks, out]

    return Contender(name, command, dataset)


def azure_peer(library: str, dataset: str = "") -> Contender:
    """Return a script that takes Azure VNet flow logs and the output."""

    def command(data: Prepared, folder: Path) -> list[str]:
        out = str(folder / "out" / "rows.parquet")
        return [PYTHON, str(CONTENDERS / f"azure_{library}.py"), data.glob, out]

    return Contender(library, command, dataset)


def gcp_peer(what: str) -> Contender:
    """Return DuckDB's bare conversion of log entries: every field, or ten columns."""

    def command(data: Prepared, folder: Path) -> list[str]:
        out = str(folder / "out" / "rows.parquet")
        return [PYTHON, str(CONTENDERS / "gcp_duckdb.py"), data.glob, what, out]

    return Contender("duckdb", command)


def program(name: str, *words: str, ours: bool = False) -> Contender:
    """Return a command that reads and writes nothing."""
    return Contender(name, lambda _data, _folder: [PYTHON, *words], form="", ours=ours)
