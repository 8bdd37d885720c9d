"""Rejected traffic: by the rule that decided, by service, by source."""

from __future__ import annotations

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Section
from ktrans_report.sections.common import COUNTED, bars, needs, ranked, total
from ktrans_report.sections.services import NAME

REJECTED = f"{COUNTED} AND verdict = 'reject'"
_RULES = {"rule": "rule", "acl_id": "security group or access list", "action_reason": "reason"}

# There was no answer to tell the server by, so what was asked for is the destination's port.
_ASKED = (
    "CASE WHEN serving = 'src' THEN 'answers of a service' WHEN dst_port IS NOT NULL THEN"
    " coalesce(CASE WHEN port = dst_port THEN service || ' ' END, '') || coalesce(proto, 'port')"
    f" || '/' || dst_port ELSE {NAME} END"
)
_SOURCE = (
    "coalesce(src || coalesce(' (' || coalesce(src_name, src_service) || ')', ''), 'no address')"
)


def section(lake: Lake, top: int) -> Section:
    """Show what was rejected or dropped."""
    made = Section("rejected", "Rejected traffic")
    if not lake.has("action"):
        made.missing.append(needs("Rejected traffic", "action"))
        return made
    flows = made.data["flows"] = total(lake, "n", REJECTED)
    rules = [column for column in _RULES if lake.has(column)]
    if rules:
        _add(made, lake, top, flows, "rule", _rule(rules), "Rule")
    else:
        made.missing.append(
            "Rejected flows by rule: not shown. It needs `rule`, `acl_id` or `action_reason`, and"
            " no row has a value in any of them. Most clouds do not log which rule decided."
        )
    if lake.has("dst_port"):
        _add(made, lake, top, flows, "service", _ASKED, "Service asked for")
    elif lake.has("server_port") or lake.has("service"):
        _add(made, lake, top, flows, "service", NAME, "Service")
    if lake.has("src_addr"):
        _add(made, lake, top, flows, "source", _SOURCE, "Source")
    return made


def _rule(columns: list[str]) -> str:
    named = ", ".join(f"'{_RULES[column]} ' || {column}" for column in columns)
    return f"coalesce(nullif(concat_ws(', ', {named}), ''), 'no rule in the log')"


def _add(made: Section, lake: Lake, top: int, flows: int, what: str, name: str, head: str) -> None:
    ends = {"sources": "approx_count_distinct(src)", "targets": "approx_count_distinct(dst)"}
    rows = ranked(lake, name, {"n": "sum(n)", **ends}, where=REJECTED, limit=top)
    made.data[f"by_{what}"] = rows
    finding = "Nothing was rejected in this period."
    if rows:
        first = rows[0]
        finding = (
            f"{text.clean(first['name'])} leads with {text.amount(first['n'], 'flows')},"
            f" {text.share(first['n'], flows)} of those rejected."
        )
    made.figures.append(
        bars(
            f"rejected-{what}",
            f"Rejected flows by {what}",
            finding,
            rows,
            "flows",
            series=[("n", "Flows")],
            more=(),
            first=head,
            colours=("var(--c2)",),
            about="Rejected are the verdicts reject and drop."
            + (" Second reports of a flow are not counted." if what == "rule" else ""),
        )
    )
