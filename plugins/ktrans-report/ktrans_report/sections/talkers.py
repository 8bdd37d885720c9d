"""Top talkers: which addresses, accounts and networks move the most."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section
from ktrans_report.sections.common import COUNTED, measure, needs, ranking, total, traffic_ranking


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
    name = "any_value(coalesce({0}_name, {0}_service))"
    src, dst = name.format("src"), name.format("dst")
    rows = lake.ask(
        "SELECT addr, any_value(label) AS label, sum(sent) AS sent, sum(received) AS received,"
        " sum(n) AS n FROM ("
        f" SELECT src AS addr, {src} AS label, sum({unit.there}) AS sent,"
        f" sum({unit.back}) AS received, sum(n) AS n FROM flows WHERE {COUNTED} AND src IS NOT NULL"
        " GROUP BY src UNION ALL"
        f" SELECT dst, {dst}, sum({unit.back}), sum({unit.there}), sum(n) FROM flows"
        f" WHERE {COUNTED} AND dst IS NOT NULL GROUP BY dst)"
        " GROUP BY addr ORDER BY coalesce(sum(sent), 0) + coalesce(sum(received), 0) DESC, addr"
        f" LIMIT {top}"
    )
    for row in rows:
        row["name"] = f"{row['addr']} ({row['label']})" if row["label"] else row["addr"]
    made.data["addresses"] = rows
    whole = total(lake, unit.column)
    finding = "No flow names its addresses."
    if rows:
        first = rows[0]
        both = (first["sent"] or 0) + (first["received"] or 0)
        finding = (
            f"{text.clean(first['name'])} moved the most: {text.amount(both, unit.unit)},"
            f" {text.share(both, whole)} of all traffic."
        )
    return ranking(
        "talkers-addresses",
        "Addresses that move the most",
        finding,
        rows,
        [("sent", "Sent"), ("received", "Received")],
        unit.unit,
        first="Address",
        more=[("n", "Flows", "flows")],
        about="Each flow counts for both of its ends, so the bars add up to more than the total.",
    )


def _accounts(lake: Lake, top: int, made: Section) -> Figure:
    unit = measure(lake)
    rows = lake.ask(
        f"SELECT coalesce(account_id, 'no account') AS name, sum({unit.column}) AS v, sum(n) AS n"
        f" FROM flows WHERE {COUNTED}"
        f" GROUP BY 1 ORDER BY v DESC NULLS LAST, name LIMIT {top}"
    )
    made.data["accounts"] = rows
    count = lake.one("SELECT count(DISTINCT account_id) AS n FROM flows")["n"]
    whole = total(lake, unit.column)
    finding = "No account has counted flows."
    if rows:
        finding = (
            f"{text.clean(rows[0]['name'])} logged the most of {text.amount_of(count, 'account')}:"
            f" {text.amount(rows[0]['v'] or 0, unit.unit)}, {text.share(rows[0]['v'] or 0, whole)}."
        )
    return traffic_ranking(
        "talkers-accounts",
        "Traffic by account",
        finding,
        rows,
        unit.unit,
        "Account",
        "By the account that logged the flow.",
    )
