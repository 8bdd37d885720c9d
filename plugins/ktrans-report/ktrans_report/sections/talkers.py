"""Top talkers: which addresses, accounts and networks move the most."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section
from ktrans_report.sections.common import (
    COUNTED,
    bars,
    measure,
    needs,
    ranked,
    total,
    traffic,
)


def section(lake: Lake, top: int) -> Section:
    """Show who sent and received the most."""
    made = Section("talkers", "Top talkers")
    if lake.has("src_addr") or lake.has("dst_addr"):
        made.figures.append(_addresses(lake, top, made))
    else:
        made.missing.append(needs("Top addresses", "src_addr"))
    if lake.has("account_id"):
        made.figures.append(_accounts(lake, top, made))
    else:
        made.missing.append(needs("Traffic by account", "account_id"))
    return made


def _addresses(lake: Lake, top: int, made: Section) -> Figure:
    unit = measure(lake)
    ends = " UNION ALL ".join(
        f"SELECT {end} AS addr, any_value(coalesce({end}_name, {end}_service)) AS label,"
        f" sum({sent}) AS sent, sum({received}) AS received, sum(n) AS n"
        f" FROM flows WHERE {COUNTED} AND {end} IS NOT NULL GROUP BY 1"
        for end, sent, received in (("src", unit.there, unit.back), ("dst", unit.back, unit.there))
    )
    rows = made.data["addresses"] = lake.ask(
        "SELECT addr, any_value(label) AS label, sum(sent) AS sent, sum(received) AS received,"
        f" sum(n) AS n FROM ({ends})"
        " GROUP BY addr ORDER BY coalesce(sum(sent), 0) + coalesce(sum(received), 0) DESC, addr"
        f" LIMIT {top}"
    )
    for row in rows:
        row["name"] = f"{row['addr']} ({row['label']})" if row["label"] else row["addr"]
    finding = "No flow names its addresses."
    if rows:
        first = rows[0]
        both = (first["sent"] or 0) + (first["received"] or 0)
        finding = (
            f"{text.clean(first['name'])} moved the most: {text.amount(both, unit.unit)},"
            f" {text.share(both, total(lake, unit.column))} of all traffic."
        )
    return bars(
        "talkers-addresses",
        "Addresses that move the most",
        finding,
        rows,
        unit.unit,
        series=[("sent", "Sent"), ("received", "Received")],
        first="Address",
        about="Each flow counts for both of its ends, so the bars add up to more than the total.",
    )


def _accounts(lake: Lake, top: int, made: Section) -> Figure:
    unit = measure(lake)
    name = "coalesce(account_id, 'no account')"
    rows = made.data["accounts"] = ranked(lake, name, traffic(lake), limit=top)
    finding = "No account has counted flows."
    if rows:
        count = lake.one("SELECT count(DISTINCT account_id) AS n FROM flows")["n"]
        most = rows[0]["v"] or 0
        finding = (
            f"{text.clean(rows[0]['name'])} logged the most of {text.amount_of(count, 'account')}:"
            f" {text.amount(most, unit.unit)}, {text.share(most, total(lake, unit.column))}."
        )
    return bars(
        "talkers-accounts",
        "Traffic by account",
        finding,
        rows,
        unit.unit,
        first="Account",
        about="By the account that logged the flow.",
    )
