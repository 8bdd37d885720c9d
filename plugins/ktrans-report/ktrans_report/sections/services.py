"""Top ports and services: what the traffic is for."""

from __future__ import annotations

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Section
from ktrans_report.sections.common import bars, measure, needs, ranked, total, traffic

NAME = (
    "CASE WHEN port IS NOT NULL THEN coalesce(service || ' ', '') || coalesce(proto, 'port') || '/'"
    " || port WHEN service IS NOT NULL THEN service"
    " WHEN proto IN ('tcp', 'udp', 'sctp', 'dccp', 'udplite') THEN proto || ', ports do not tell'"
    " WHEN proto IS NOT NULL THEN proto || ' (no ports)' ELSE 'not reported' END"
)
"""The service of a flow for people; ICMP and its like have no ports."""
_HOSTS = "approx_count_distinct(CASE serving WHEN 'dst' THEN dst WHEN 'src' THEN src END)"


def section(lake: Lake, top: int) -> Section:
    """Show which services move the most."""
    made = Section("services", "Top ports and services")
    if not (lake.has("dst_port") or lake.has("server_port") or lake.has("service")):
        made.missing.append(needs("Traffic by service", "dst_port"))
        return made
    unit = measure(lake)
    rows = made.data["services"] = ranked(lake, NAME, {**traffic(lake), "hosts": _HOSTS}, limit=top)
    whole = total(lake, unit.column)
    parts = [f"{text.clean(row['name'])} ({text.share(row['v'] or 0, whole)})" for row in rows[:3]]
    made.figures.append(
        bars(
            "services-top",
            "Services that move the most",
            f"The most traffic is {text.listed(parts)}."
            if parts
            else "There are no flows in this period.",
            rows,
            unit.unit,
            first="Service",
            about="Both directions of a service count for its port. The server is the end whose"
            " port has a registered name or, where neither or both have one, is below 1024.",
        )
    )
    return made
