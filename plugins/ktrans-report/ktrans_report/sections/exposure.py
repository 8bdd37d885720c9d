"""Internet exposure: what the internet reaches inside, and how much goes in and out."""

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
    table,
    traffic,
)
from ktrans_report.sections.services import NAME

SCOPES = {
    "internal": "inside to inside",
    "outbound": "inside to outside",
    "inbound": "outside to inside",
    "external": "outside to outside",
}
_REACHED = (
    f"{COUNTED} AND scope = 'inbound' AND verdict IS DISTINCT FROM 'reject'"
    " AND (serving = 'dst' OR (serving IS NULL AND syn))"
)


def section(lake: Lake, top: int) -> Section:
    """Show what is open to the internet."""
    made = Section("exposure", "Internet exposure")
    if not (lake.has("flow_scope") or lake.has("src_addr", "dst_addr")):
        made.missing.append(needs("Internet exposure", "src_addr", "dst_addr"))
        return made
    made.figures.append(_scopes(lake, made))
    if lake.has("dst_port") or lake.has("server_port"):
        made.figures.append(_services(lake, top, made))
        if lake.has("dst_addr"):
            made.figures.append(_hosts(lake, top, made))
    else:
        made.missing.append(needs("Services reached from the internet", "dst_port"))
    return made


def _scopes(lake: Lake, made: Section) -> Figure:
    rows = made.data["scopes"] = ranked(lake, "scope", traffic(lake))
    for row in rows:
        row["scope"] = row["name"]
        row["name"] = SCOPES.get(row["scope"] or "", "not known")
    total = sum(row["v"] or 0 for row in rows)
    crossing = sum(row["v"] or 0 for row in rows if row["scope"] in {"inbound", "outbound"})
    return bars(
        "exposure-scopes",
        "Inside and outside",
        f"{text.share(crossing, total)} of the traffic crossed between inside and the internet.",
        rows,
        measure(lake).unit,
        first="Path",
        about="Inside are private, shared, unique local, link-local and loopback addresses, or what"
        " `flow_scope` says; everything else is taken for the internet.",
    )


def _services(lake: Lake, top: int, made: Section) -> Figure:
    rows = made.data["services"] = ranked(
        lake,
        NAME,
        {"n": "sum(n)", "hosts": "count(DISTINCT dst)", "sources": "approx_count_distinct(src)"},
        where=_REACHED,
        limit=top,
    )
    hosts = lake.one(f"SELECT count(DISTINCT dst) AS n FROM flows WHERE {_REACHED}")["n"]
    made.data["hosts_reached"] = hosts
    finding = "No flow from the internet to a service inside was accepted."
    if rows:
        addresses = f"{text.number(hosts)} inside address" + ("" if hosts == 1 else "es")
        finding = (
            f"The internet reached {addresses}, the most by {text.clean(rows[0]['name'])} on"
            f" {text.number(rows[0]['hosts'])} of them."
        )
    if not lake.has("action"):
        finding += " There is no `action`: rejected flows may be included."
    return bars(
        "exposure-services",
        "Services reached from the internet",
        finding,
        rows,
        "flows",
        series=[("n", "Flows")],
        first="Service",
        more=[("hosts", "Addresses inside", "count"), ("sources", "Sources (about)", "count")],
        about="Accepted flows from outside to a server inside. Answers to flows that began inside"
        " do not count: their server is outside. Where the ports do not tell the server, a flow"
        " counts if its flags show that the outside opened it.",
        colours=("var(--c3)",),
    )


def _hosts(lake: Lake, top: int, made: Section) -> Figure:
    rows = made.data["endpoints"] = lake.ask(
        f"SELECT dst, any_value(coalesce(dst_name, dst_service)) AS label, {NAME} AS service,"
        " sum(n) AS n, approx_count_distinct(src) AS sources FROM flows"
        f" WHERE {_REACHED} GROUP BY dst, {NAME} ORDER BY n DESC, dst, service LIMIT {top}"
    )
    name = [("label", "Name", "")] if any(row["label"] for row in rows) else []
    return Figure(
        "exposure-hosts",
        "Addresses reached from the internet",
        f"The {text.amount_of(len(rows), 'endpoint')} with the most accepted flows from outside."
        if rows
        else "There are none.",
        table(
            rows,
            [
                ("dst", "Address", ""),
                *name,
                ("service", "Service", ""),
                ("n", "Flows", "count"),
                ("sources", "Sources (about)", "count"),
            ],
        ),
    )
