"""What the traffic may cost: an estimate, and only with prices that someone gave."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section, Table
from ktrans_report.options import Prices
from ktrans_report.sections.common import COUNTED, needs, total

_GB = 1_000_000_000


def section(lake: Lake, prices: Prices) -> Section | None:
    """Estimate costs; nothing if there are no prices."""
    made = Section("cost", "Cost estimate")
    if lake.has("cost_estimate"):
        made.figures.append(_priced_rows(lake, made))
    if prices:
        made.figures.append(_priced_here(lake, prices, made))
    return made if made.figures else None


def _priced_rows(lake: Lake, made: Section) -> Figure:
    rows = lake.ask(
        "SELECT coalesce(path_class, 'not known') AS name, sum(cost_estimate) AS cost,"
        f" sum(b_all) AS bytes FROM flows WHERE {COUNTED} AND cost_estimate IS NOT NULL"
        " GROUP BY 1 ORDER BY cost DESC, name"
    )
    cost = sum(row["cost"] or 0 for row in rows)
    made.data["by_pipeline"] = {"total_usd": cost, "by_path_class": rows}
    return Figure(
        "cost-rows",
        "As the pipeline priced it",
        f"About {cost:,.2f} in the currency of the pipeline's price table.",
        Table(
            [("Kind of path", "text"), ("Bytes", "number"), ("Estimate", "number")],
            [
                [row["name"], text.amount(row["bytes"], "bytes"), f"{row['cost']:,.2f}"]
                for row in rows
            ],
        ),
        about="The sum of the column `cost_estimate`, which the enricher `zones` added.",
    )


def _priced_here(lake: Lake, prices: Prices, made: Section) -> Figure:
    rows: list[dict[str, Any]] = []
    for name, price, condition, columns in (
        ("To the internet", prices.internet, _internet(lake), ("src_addr", "dst_addr")),
        ("Between zones of a region", prices.zone, _zones(lake), ("src_zone", "dst_zone")),
        ("Between regions", prices.region, _regions(lake), ("src_region", "dst_region")),
    ):
        if price is None:
            continue
        if condition is None or not lake.has("bytes"):
            made.missing.append(needs(f"The price {name.lower()}", *columns))
            continue
        moved = total(lake, condition)
        rows.append({"name": name, "bytes": moved, "price": price, "cost": moved / _GB * price})
    cost = sum(row["cost"] for row in rows)
    made.data["by_report"] = {"total_usd": cost, "parts": rows}
    cells = [
        [
            row["name"],
            text.amount(row["bytes"], "bytes"),
            f"{row['price']:g} USD/GB",
            text.money(row["cost"]),
        ]
        for row in rows
    ]
    return Figure(
        "cost-report",
        "At the prices given",
        f"About {text.money(cost)} for this period at the prices that were given. This is an"
        " estimate, not a bill."
        if rows
        else "None of the prices applies to these rows.",
        Table(
            [("Path", "text"), ("Bytes", "number"), ("Price", "number"), ("Estimate", "number")],
            cells,
        ),
        about="This counts the bytes of the log, each flow once, at one price: no free allowance,"
        " no steps, no discounts, no processing fees. To the internet only what goes out counts;"
        " between zones and regions each direction counts once. 1 GB is 10^9 bytes.",
    )


def _internet(lake: Lake) -> str | None:
    if lake.has("path_class"):
        return (
            "CASE path_class WHEN 'internet_out' THEN coalesce(b, 0)"
            " WHEN 'internet_in' THEN coalesce(b_rev, 0) ELSE 0 END"
        )
    if lake.has("flow_scope") or lake.has("src_addr", "dst_addr"):
        return (
            "CASE scope WHEN 'outbound' THEN coalesce(b, 0)"
            " WHEN 'inbound' THEN coalesce(b_rev, 0) ELSE 0 END"
        )
    return None


def _zones(lake: Lake) -> str | None:
    if lake.has("path_class"):
        return "CASE path_class WHEN 'inter_zone' THEN coalesce(b_all, 0) ELSE 0 END"
    if lake.has("src_zone", "dst_zone"):
        return (
            "CASE WHEN src_zone <> dst_zone AND src_region IS NOT DISTINCT FROM dst_region"
            " THEN coalesce(b_all, 0) ELSE 0 END"
        )
    return None


def _regions(lake: Lake) -> str | None:
    if lake.has("path_class"):
        return "CASE path_class WHEN 'inter_region' THEN coalesce(b_all, 0) ELSE 0 END"
    if lake.has("src_region", "dst_region"):
        return "CASE WHEN src_region <> dst_region THEN coalesce(b_all, 0) ELSE 0 END"
    return None
