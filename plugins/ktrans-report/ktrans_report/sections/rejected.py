"""Rejected traffic: by the rule that decided, by service, by source."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section
from ktrans_report.sections.common import COUNTED, needs, ranking, total
from ktrans_report.sections.services import NAME

REJECTED = f"{COUNTED} AND verdict = 'reject'"
_RULES = {"rule": "rule", "acl_id": "security group or access list", "action_reason": "reason"}


def section(lake: Lake, top: int) -> Section:
    """Show what was rejected or dropped."""
    made = Section("rejected", "Rejected traffic")
    if not lake.has("action"):
        made.missing.append(needs("Rejected traffic", "action"))
        return made
    flows = made.data["flows"] = total(lake, "n", REJECTED)
    rules = [column for column in _RULES if lake.has(column)]
    if rules:
        made.figures.append(_by(lake, top, flows, made, "rule", _rule(rules), "Rule"))
    else:
        made.missing.append(
            "Rejected flows by rule: not shown. It needs `rule`, `acl_id` or `action_reason`, and"
            " no row has a value in any of them. Most clouds do not log which rule decided."
        )
    if lake.has("dst_port"):
        made.figures.append(_by(lake, top, flows, made, "service", _ASKED, "Service asked for"))
    elif lake.has("server_port") or lake.has("service"):
        made.figures.append(_by(lake, top, flows, made, "service", NAME, "Service"))
    if lake.has("src_addr"):
        made.figures.append(_by(lake, top, flows, made, "source", _SOURCE, "Source"))
    return made


# There was no answer to tell the server by, so what was asked for is the destination's port.
_ASKED = (
    "CASE WHEN serving = 'src' THEN 'answers of a service' WHEN dst_port IS NOT NULL THEN"
    " coalesce(CASE WHEN port = dst_port THEN service || ' ' END, '') || coalesce(proto, 'port')"
    f" || '/' || dst_port ELSE {NAME} END"
)
_SOURCE = (
    "coalesce(src || coalesce(' (' || coalesce(src_name, src_service) || ')', ''), 'no address')"
)


def _rule(columns: list[str]) -> str:
    sentence = " || ', ' || ".join(f"coalesce('{_RULES[c]} ' || {c}, '')" for c in columns[:1])
    more = "".join(f" || coalesce(', {_RULES[c]} ' || {c}, '')" for c in columns[1:])
    empty = " AND ".join(f"{c} IS NULL" for c in columns)
    return f"CASE WHEN {empty} THEN 'no rule in the log' ELSE ltrim({sentence}{more}, ', ') END"


def _by(lake: Lake, top: int, flows: int, made: Section, what: str, name: str, head: str) -> Figure:
    rows = lake.ask(
        f"SELECT {name} AS name, sum(n) AS n, approx_count_distinct(src) AS sources,"
        f" approx_count_distinct(dst) AS targets FROM flows WHERE {REJECTED}"
        f" GROUP BY 1 ORDER BY n DESC, name LIMIT {top}"
    )
    made.data[f"by_{what}"] = rows
    finding = "Nothing was rejected in this period."
    if rows:
        first = rows[0]
        finding = (
            f"{text.clean(first['name'])} leads with {text.amount(first['n'], 'flows')},"
            f" {text.share(first['n'], flows)} of those rejected."
        )
    return ranking(
        f"rejected-{what}",
        f"Rejected flows by {what}",
        finding,
        rows,
        [("n", "Flows")],
        "flows",
        first=head,
        colours=("var(--c2)",),
        about="Rejected are the verdicts reject and drop."
        + (" Second reports of a flow are not counted." if what == "rule" else ""),
    )
