"""Internet exposure: what the internet reaches inside, and how much goes in and out."""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Align, Figure, Section, Table
from ktrans_report.sections.common import COUNTED, measure, needs, ranking, traffic_ranking
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
_ABOUT = (
    "Inside are private, shared, unique local, link-local and loopback addresses, or what"
    " `flow_scope` says; everything else is taken for the internet."
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
    unit = measure(lake)
    rows = lake.ask(
        f"SELECT scope, sum({unit.column}) AS v, sum(n) AS n FROM flows"
        f" WHERE {COUNTED} GROUP BY 1 ORDER BY v DESC NULLS LAST"
    )
    for row in rows:
        row["name"] = SCOPES.get(row["scope"] or "", "not known")
    made.data["scopes"] = rows
    total = sum(row["v"] or 0 for row in rows)
    crossing = sum(row["v"] or 0 for row in rows if row["scope"] in {"inbound", "outbound"})
    return traffic_ranking(
        "exposure-scopes",
        "Inside and outside",
        f"{text.share(crossing, total)} of the traffic crossed between inside and the internet.",
        rows,
        unit.unit,
        "Path",
        _ABOUT,
    )


def _services(lake: Lake, top: int, made: Section) -> Figure:
    rows = lake.ask(
        f"SELECT {NAME} AS name, sum(n) AS n, count(DISTINCT dst) AS hosts,"
        f" approx_count_distinct(src) AS sources FROM flows WHERE {_REACHED}"
        f" GROUP BY 1 ORDER BY n DESC, name LIMIT {top}"
    )
    made.data["services"] = rows
    hosts = lake.one(f"SELECT count(DISTINCT dst) AS n FROM flows WHERE {_REACHED}")["n"]
    made.data["hosts_reached"] = hosts
    verdicts = (
        "" if lake.has("action") else " There is no `action`: rejected flows may be included."
    )
    if rows:
        addresses = f"{text.number(hosts)} inside address" + ("" if hosts == 1 else "es")
        finding = (
            f"The internet reached {addresses}, the most by {text.clean(rows[0]['name'])} on"
            f" {text.number(rows[0]['hosts'])} of them."
        )
    else:
        finding = "No flow from the internet to a service inside was accepted."
    return ranking(
        "exposure-services",
        "Services reached from the internet",
        finding + verdicts,
        rows,
        [("n", "Flows")],
        "flows",
        first="Service",
        more=[("hosts", "Addresses inside", "count"), ("sources", "Sources (about)", "count")],
        about="Accepted flows from outside to a server inside. Answers to flows that began inside"
        " do not count: their server is outside. Where the ports do not tell the server, a flow"
        " counts if its flags show that the outside opened it.",
        colours=("var(--c3)",),
    )


def _hosts(lake: Lake, top: int, made: Section) -> Figure:
    rows = lake.ask(
        f"SELECT dst, any_value(coalesce(dst_name, dst_service)) AS label, {NAME} AS service,"
        " sum(n) AS n, approx_count_distinct(src) AS sources FROM flows"
        f" WHERE {_REACHED} GROUP BY dst, {NAME} ORDER BY n DESC, dst, service LIMIT {top}"
    )
    made.data["endpoints"] = rows
    named = any(row["label"] for row in rows)
    cells = [
        [
            text.clean(row["dst"]),
            *([text.clean(row["label"] or "")] if named else []),
            text.clean(row["service"]),
            text.number(row["n"]),
            text.number(row["sources"]),
        ]
        for row in rows
    ]
    head: list[tuple[str, Align]] = [("Address", "text")]
    if named:
        head.append(("Name", "text"))
    head += [("Service", "text"), ("Flows", "number"), ("Sources (about)", "number")]
    return Figure(
        "exposure-hosts",
        "Addresses reached from the internet",
        f"The {text.amount_of(len(cells), 'endpoint')} with the most accepted flows from outside."
        if cells
        else "There are none.",
        Table(head, cells),
    )
