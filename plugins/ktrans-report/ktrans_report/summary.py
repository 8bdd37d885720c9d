"""The first screen: the period, how much, how much of it was refused, how much is missing."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Section, Tile
from ktrans_report.sections.common import COUNTED, FLOWS, measure
from ktrans_report.sections.coverage import HOUR_US

_FULL = 0.999
_MILLION = 1_000_000


def figures(lake: Lake) -> dict[str, Any]:
    """Return the numbers of the summary."""
    unit = measure(lake)
    numbers = lake.one(
        f"SELECT count(*) AS rows, sum(n) FILTER ({FLOWS}) AS flows,"
        f" sum(b_all) FILTER ({COUNTED}) AS bytes, sum(p_all) FILTER ({COUNTED}) AS packets,"
        f" sum(b_all) FILTER ({FLOWS}) AS bytes_as_logged,"
        " count(DISTINCT account_id) AS accounts, count(DISTINCT interface_id) AS interfaces,"
        f" sum(n) FILTER ({FLOWS} AND verdict = 'reject') AS rejected,"
        f" sum(n) FILTER ({FLOWS} AND verdict IS NOT NULL) AS judged,"
        f" count(*) FILTER ({FLOWS} AND NOT counted) AS second_reports,"
        " count(*) FILTER (state = 'nodata') AS nodata,"
        " count(*) FILTER (state = 'skipdata') AS skipdata,"
        " count(*) FILTER (beyond) AS impossible FROM flows"
    )
    busiest = lake.ask(
        f"SELECT us // {HOUR_US} * {HOUR_US} AS since, sum({unit.column}) AS v FROM flows"
        f" WHERE {COUNTED} GROUP BY 1 ORDER BY v DESC NULLS LAST, since LIMIT 1"
    )
    hour = busiest[0] if busiest else {"since": None, "v": None}
    times = {"start": lake.start_us, "end": lake.end_us, "busiest_hour": hour["since"]}
    return {
        **numbers,
        **{key: us if us is None else text.moment(us).isoformat() for key, us in times.items()},
        "busiest_hour_amount": hour["v"],
        "read_twice": _read_twice(lake),
        "measured_in": unit.unit,
        "files": lake.files,
        "file_bytes": lake.size,
    }


def _read_twice(lake: Lake) -> int:
    """Return how many rows are of a record of which there is a row already."""
    if not lake.has("source_uri", "source_pos"):
        return 0
    found = lake.one(
        "SELECT coalesce(sum(n - 1), 0)::BIGINT AS n FROM (SELECT count(*) AS n FROM read"
        " WHERE source_uri IS NOT NULL AND source_pos IS NOT NULL"
        " GROUP BY hash(source_uri), source_pos HAVING count(*) > 1)"
    )
    return int(found["n"])


def tiles(lake: Lake, numbers: dict[str, Any], sections: list[Section]) -> list[Tile]:
    """Lay the numbers out."""
    by_id = {section.id: section.data for section in sections}
    size, packets = numbers["bytes"], numbers["packets"]
    exact = "" if size is None else text.number(size)
    once = "each flow counted once" if numbers["second_reports"] else ""
    accounts = text.number(numbers["accounts"]) if lake.has("account_id") else "not reported"
    interfaces = text.amount_of(numbers["interfaces"], "interface")
    rejected, judged = numbers["rejected"] or 0, numbers["judged"] or 0
    made = [
        _period(lake),
        _rows(lake, numbers),
        Tile("Bytes", text.amount(size, "bytes"), once or exact),
        Tile("Packets", "not reported" if packets is None else _short(packets), once),
        Tile("Accounts", accounts, interfaces if lake.has("interface_id") else ""),
        Tile("Rejected", text.share(rejected, judged), text.amount(rejected, "flows"))
        if judged
        else Tile("Rejected", "not reported", "the rows have no verdict"),
        _coverage(by_id["coverage"], numbers),
    ]
    if at := numbers["busiest_hour"]:
        amount = text.amount(numbers["busiest_hour_amount"], numbers["measured_in"])
        made.append(Tile("Busiest hour", f"{at[11:16]} UTC", f"{at[:10]}, {amount}"))
    if prices := by_id.get("cost", {}).get("by_report"):
        cost = text.money(prices["total_usd"])
        made.append(Tile("Cost estimate", cost, "at the prices given, not a bill"))
    return made


def _short(value: float) -> str:
    """Return a count in a few characters."""
    if value < _MILLION:
        return text.number(round(value))
    size, name = text.scale(float(value), "packets")
    return f"{text.significant(float(value) / size)} {name.removesuffix(' packets')}"


def _period(lake: Lake) -> Tile:
    if lake.start_us is None or lake.end_us is None:
        return Tile("Period", "no rows")
    first, last = text.when(lake.start_us), text.when(lake.end_us)
    until = last[11:] if first[:10] == last[:10] else last
    return Tile("Period", text.length(lake.end_us - lake.start_us), f"{first} to {until} UTC")


def _rows(lake: Lake, numbers: dict[str, Any]) -> Tile:
    of = "totals of a rollup" if lake.totals else "rows of logs"
    detail = f"{of} in {text.amount_of(numbers['files'], 'file')}"
    flows = numbers["flows"]
    if flows is not None and flows != numbers["rows"] and flows:
        detail = f"{text.amount(flows, 'flows')}; {detail}"
    return Tile("Rows", text.number(numbers["rows"]), detail)


def _coverage(data: dict[str, Any], numbers: dict[str, Any]) -> Tile:
    of = data.get("account_id") or data.get("interface_id")
    noun = "account" if "account_id" in data else "interface"
    word = "hour" if data["slot_secs"] == HOUR_US // 1_000_000 else "quarter hour"
    lost = (
        f"; {text.amount(numbers['skipdata'], 'rows')} of SKIPDATA" if numbers["skipdata"] else ""
    )
    if not of or not of["slots_in_all"]:
        return Tile("Coverage", "not known", f"no account and no interface is named{lost}")
    covered = of["slots_covered"] / of["slots_in_all"]
    return Tile(
        "Coverage",
        text.share(of["slots_covered"], of["slots_in_all"]),
        f"of {noun} {word}s have rows{lost}",
        "good" if covered > _FULL and not lost else "bad",
    )
