"""Top ports and services: what the traffic is for."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Section
from ktrans_report.sections.common import COUNTED, measure, needs, total, traffic_ranking

NAME = (
    "CASE WHEN port IS NOT NULL THEN coalesce(service || ' ', '') || coalesce(proto, 'port') || '/'"
    " || port WHEN service IS NOT NULL THEN service"
    " WHEN proto IN ('tcp', 'udp', 'sctp', 'dccp', 'udplite') THEN proto || ', ports do not tell'"
    " WHEN proto IS NOT NULL THEN proto || ' (no ports)' ELSE 'not reported' END"
)
"""The service of a flow for people; ICMP and its like have no ports."""


def section(lake: Lake, top: int) -> Section:
    """Show which services move the most."""
    made = Section("services", "Top ports and services")
    if not (lake.has("dst_port") or lake.has("server_port") or lake.has("service")):
        made.missing.append(needs("Traffic by service", "dst_port"))
        return made
    unit = measure(lake)
    rows = lake.ask(
        f"SELECT {NAME} AS name, sum({unit.column}) AS v, sum(n) AS n,"
        " approx_count_distinct(CASE serving WHEN 'dst' THEN dst WHEN 'src' THEN src END) AS hosts"
        f" FROM flows WHERE {COUNTED} GROUP BY 1 ORDER BY v DESC NULLS LAST, name LIMIT {top}"
    )
    made.data["services"] = rows
    whole = total(lake, unit.column)
    finding = "There are no flows in this period."
    if rows:
        parts = [
            f"{text.clean(row['name'])} ({text.share(row['v'] or 0, whole)})" for row in rows[:3]
        ]
        finding = f"The most traffic is {text.listed(parts)}."
    made.figures.append(
        traffic_ranking(
            "services-top",
            "Services that move the most",
            finding,
            rows,
            unit.unit,
            "Service",
            "Both directions of a service count for its port. The server is the end whose"
            " port has a registered name or, where neither or both have one, is below 1024.",
        )
    )
    return made
