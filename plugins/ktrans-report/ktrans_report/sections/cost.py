"""What the traffic may cost: an estimate, and only with prices that someone gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section
from ktrans_report.options import Options
from ktrans_report.sections.common import COUNTED, needs, ranked, table, total

_GB = 1_000_000_000


def section(lake: Lake, options: Options) -> Section | None:
    """Estimate costs; nothing if there are no prices."""
    made = Section("cost", "Cost estimate")
    if lake.has("cost_estimate"):
        made.figures.append(_priced_rows(lake, made))
    prices = (options.price_internet, options.price_zone, options.price_region)
    if any(price is not None for price in prices):
        made.figures.append(_priced_here(lake, prices, made))
    return made if made.figures else None


def _priced_rows(lake: Lake, made: Section) -> Figure:
    rows = ranked(
        lake,
        "coalesce(path_class, 'not known')",
        {"cost": "sum(cost_estimate)", "bytes": "sum(b_all)"},
        where=f"{COUNTED} AND cost_estimate IS NOT NULL",
    )
    cost = sum(row["cost"] or 0 for row in rows)
    made.data["by_pipeline"] = {"total_usd": cost, "by_path_class": rows}
    return Figure(
        "cost-rows",
        "As the pipeline priced it",
        f"About {cost:,.2f} in the currency of the pipeline's price table.",
        table(
            rows,
            [
                ("name", "Kind of path", ""),
                ("bytes", "Bytes", "bytes"),
                ("cost", "Estimate", "money"),
            ],
        ),
        about="The sum of the column `cost_estimate`, which the enricher `zones` added.",
    )


def _priced_here(lake: Lake, prices: Sequence[float | None], made: Section) -> Figure:
    rows: list[dict[str, Any]] = []
    paths = (
        ("To the internet", _internet(lake), ("src_addr", "dst_addr")),
        ("Between zones of a region", _zones(lake), ("src_zone", "dst_zone")),
        ("Between regions", _regions(lake), ("src_region", "dst_region")),
    )
    for price, (name, moved, columns) in zip(prices, paths, strict=True):
        if price is None:
            continue
        if moved is None or not lake.has("bytes"):
            made.missing.append(needs(f"The price {name.lower()}", *columns))
            continue
        size = total(lake, f"CASE {moved} ELSE 0 END")
        rows.append({"name": name, "bytes": size, "price": price, "cost": size / _GB * price})
    cost = sum(row["cost"] for row in rows)
    made.data["by_report"] = {"total_usd": cost, "parts": rows}
    return Figure(
        "cost-report",
        "At the prices given",
        f"About {text.money(cost)} for this period at the prices that were given. This is an"
        " estimate, not a bill."
        if rows
        else "None of the prices applies to these rows.",
        table(
            rows,
            [
                ("name", "Path", ""),
                ("bytes", "Bytes", "bytes"),
                ("price", "Price", "USD/GB"),
                ("cost", "Estimate", "USD"),
            ],
        ),
        about="This counts the bytes of the log, each flow once, at one price: no free allowance,"
        " no steps, no discounts, no processing fees. To the internet only what goes out counts;"
        " between zones and regions each direction counts once. 1 GB is 10^9 bytes.",
    )


def _internet(lake: Lake) -> str | None:
    out, back = "THEN coalesce(b, 0)", "THEN coalesce(b_rev, 0)"
    if lake.has("path_class"):
        return f"path_class WHEN 'internet_out' {out} WHEN 'internet_in' {back}"
    if lake.has("flow_scope") or lake.has("src_addr", "dst_addr"):
        return f"scope WHEN 'outbound' {out} WHEN 'inbound' {back}"
    return None


def _zones(lake: Lake) -> str | None:
    if lake.has("path_class"):
        return "path_class WHEN 'inter_zone' THEN coalesce(b_all, 0)"
    if lake.has("src_zone", "dst_zone"):
        same_region = "src_region IS NOT DISTINCT FROM dst_region"
        return f"WHEN src_zone <> dst_zone AND {same_region} THEN coalesce(b_all, 0)"
    return None


def _regions(lake: Lake) -> str | None:
    if lake.has("path_class"):
        return "path_class WHEN 'inter_region' THEN coalesce(b_all, 0)"
    if lake.has("src_region", "dst_region"):
        return "WHEN src_region <> dst_region THEN coalesce(b_all, 0)"
    return None
