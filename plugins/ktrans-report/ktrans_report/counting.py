"""Makes the table `flows`: each flow once, weighted, with its server, its scope and its verdict.

The table `flows` has for each row of the lake: `us`, its time; the addresses `src`, `dst`; `b`, `b_rev` and
`p`, `p_rev` (bytes and packets there and back, null if not reported) and `b_all`, `p_all` (both);
`n`, how many flows the row stands for; `state` (flow, nodata, skipdata); `verdict` (accept, reject
or null); `counted`, false for a second report of a flow; `serving` (src, dst or null), `port`,
`service`, `proto`; `scope` (internal, inbound, outbound, external or null); and the columns that
say where.
"""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from ktrans.kit import flow_rules
from ktrans_report.lake import Lake
from ktrans_report.source import quoted

_REJECTED = "('reject', 'rejected', 'drop', 'dropped', 'deny', 'denied', 'block', 'blocked')"
_ACCEPTED = "('accept', 'accepted', 'allow', 'allowed', 'pass', 'forward', 'forwarded')"
HOUR_US = 3_600_000_000
_PLACES = (
    "account_id",
    "interface_id",
    "region",
    "zone",
    "rule",
    "acl_id",
    "action_reason",
    *(f"{side}_{what}" for side in ("src", "dst") for what in ("zone", "region", "vpc")),
    *(f"{side}_{what}" for side in ("src", "dst") for what in ("name", "country", "service")),
    "path_class",
    "cost_estimate",
)


def count(lake: Lake, *, all_reports: bool) -> None:
    """Make the table `flows` from the rows that were read."""
    twice = not all_reports and _find_second_reports(lake)
    lake.db.register("claims", flow_rules.port_claims())
    lake.db.register("keywords", flow_rules.protocol_keywords())
    scope = _store_scopes(lake)
    serving, port, service = _server(lake)
    weight = "coalesce(sample_weight, 1)"
    counters = {
        f"{short}{way}": _whole(f"{name}{way}::HUGEINT * {weight}")
        for short, name in (("b", "bytes"), ("p", "packets"))
        for way in ("", "_rev")
    }
    of_two = {
        f"{one}_all": f"CASE WHEN {whole} IS NULL AND {back} IS NULL THEN NULL ELSE "
        + _whole(f"(coalesce({whole}, 0)::HUGEINT + coalesce({back}, 0)) * {weight}")
        + " END"
        for one, whole, back in (("b", "bytes", "bytes_rev"), ("p", "packets", "packets_rev"))
    }
    columns = {
        "us": "r.us",
        "src": "src_addr",
        "dst": "dst_addr",
        **counters,
        **of_two,
        "beyond": f"({of_two['b_all']}) IS NULL AND coalesce(bytes, bytes_rev) IS NOT NULL",
        "n": _whole(f"coalesce(flows, {0 if lake.totals else 1})::HUGEINT * {weight}"),
        "state": "CASE upper(log_status) WHEN 'NODATA' THEN 'nodata'"
        " WHEN 'SKIPDATA' THEN 'skipdata' ELSE 'flow' END",
        "verdict": _verdict(),
        "counted": "t.pair IS NULL OR t.best = r.point" if twice else "true",
        "serving": serving,
        "port": port,
        "dst_port": "dst_port",
        "service": service,
        "proto": "coalesce(k.keyword, 'protocol ' || r.protocol)",
        "syn": "(tcp_flags & 18) = 2",
        "scope": scope,
        **{name: name for name in _PLACES},
    }
    select = ", ".join(f"{expression} AS {name}" for name, expression in columns.items())
    rows = f"(SELECT *, {_pair()} AS pair, {_point()} AS point FROM read)" if twice else "read"
    joins = " LEFT JOIN second AS t USING (pair)" if twice else ""
    joins += " LEFT JOIN keywords AS k ON k.protocol = r.protocol"
    ports = [] if lake.has("server") else [("src", "src_port"), ("dst", "dst_port")]
    joins += "".join(
        f" LEFT JOIN claims AS {name} ON {name}.protocol = r.protocol AND {name}.port = r.{column}"
        for name, column in [*ports, ("own", "server_port")]
    )
    if scope == _SCOPE:
        joins += " LEFT JOIN inside AS i ON i.addr = src_addr LEFT JOIN inside AS j"
        joins += " ON j.addr = dst_addr"
    lake.store(f"SELECT {select} FROM {rows} AS r{joins}", "flows")


def _whole(number: str) -> str:
    """Write a number that is null if it does not fit 64 bits."""
    return f"try_cast({number} AS BIGINT)"


def _verdict() -> str:
    action = "lower(action)"
    return (
        f"CASE WHEN {action} IN {_REJECTED} THEN 'reject'"
        f" WHEN {action} IN {_ACCEPTED} THEN 'accept' END"
    )


def _pair() -> str:
    """Write both ends, the verdict and the hour as one number; null if an address is missing."""
    return (
        f"CASE WHEN src_addr IS NULL OR dst_addr IS NULL THEN NULL ELSE"
        f" hash(src_addr, dst_addr, us // {HOUR_US}, coalesce({_verdict()}, '')) END"
    )


def _point() -> str:
    """Write the capture point as one number; preferred ones are lower."""
    captured = _cases(
        "lower(direction)", {**_DIRECTIONS, "outbound": "source", "inbound": "destination"}
    )
    side = _rank(f"coalesce(reporter, {captured})", flow_rules.PREFERRED_REPORTERS)
    kind = _rank("log_type", flow_rules.PREFERRED_LOG_TYPES)
    who = "hash(log_type, account_id, interface_id, instance_id, reporter) >> 8"
    return f"(({kind})::UBIGINT << 60) | (({side})::UBIGINT << 56) | ({who})"


_DIRECTIONS = {
    direction: ("source", "destination")[side]
    for direction, side in flow_rules.DIRECTION_SIDES.items()
}


def _cases(value: str, results: Mapping[str, str]) -> str:
    whens = (f" WHEN {quoted(key)} THEN {quoted(result)}" for key, result in results.items())
    return f"CASE {value}{''.join(whens)} END"


def _rank(value: str, order: Sequence[str]) -> str:
    """Write the position of a text in an order; all other texts come last."""
    whens = (f" WHEN {quoted(word)} THEN {at}" for at, word in enumerate(order))
    return f"CASE {value}{''.join(whens)} ELSE {len(order)} END"


def _find_second_reports(lake: Lake) -> bool:
    """Store which pairs of addresses several capture points logged, and whose report counts.

    The rule is that of the enricher `one_report`, by hours instead of windows: of all reports of
    the same source, destination and verdict in the same hour those of one capture point count.
    """
    if lake.totals or not lake.has("src_addr", "dst_addr"):
        return False
    if not (lake.has("interface_id") or lake.has("reporter") or lake.has("direction")):
        return False
    found = (
        f"SELECT pair, min(point) AS best FROM (SELECT {_pair()} AS pair, {_point()} AS point"
        " FROM read) WHERE pair IS NOT NULL GROUP BY pair HAVING min(point) <> max(point)"
    )
    lake.store(found, "second")
    return bool(lake.one("SELECT count(*) AS n FROM second")["n"])


_SCOPE = (
    "CASE "
    + " ".join(
        f"WHEN {'' if number & 2 else 'NOT '}i.inside"
        f' AND {"" if number & 1 else "NOT "}(j.inside OR j."group") THEN {quoted(scope)}'
        for number, scope in enumerate(flow_rules.SCOPES)
    )
    + " END"
)


def _store_scopes(lake: Lake) -> str:
    """Return the expression for a flow's scope; store which addresses are inside."""
    if lake.has("flow_scope"):
        return "flow_scope"
    if not lake.has("src_addr", "dst_addr"):
        return "NULL::VARCHAR"
    lake.db.execute('CREATE TABLE inside (addr VARCHAR, inside BOOLEAN, "group" BOOLEAN)')
    distinct = lake.db.cursor().sql(
        "SELECT src_addr AS addr FROM read WHERE src_addr IS NOT NULL"
        " UNION SELECT dst_addr FROM read WHERE dst_addr IS NOT NULL"
    )
    for batch in distinct.to_arrow_reader(1 << 16):
        addresses = batch.column(0).cast(pa.string())
        classes = flow_rules.address_classes(addresses)
        columns = {
            "addr": addresses,
            "inside": flow_rules.is_class(classes, flow_rules.INSIDE),
            "group": flow_rules.is_class(classes, flow_rules.LOCAL_GROUPS),
        }
        known = pa.table(columns).filter(pa.array(classes >= 0))
        lake.db.register("known", known)
        lake.db.execute("INSERT INTO inside SELECT * FROM known")
        lake.db.unregister("known")
    return _SCOPE


def _server(lake: Lake) -> tuple[str, str, str]:
    """Return the expressions for the side of the server, its port and its service's name."""
    if lake.has("server"):
        port = "CASE server WHEN 'src' THEN src_port WHEN 'dst' THEN dst_port END"
        return (
            "server",
            f"coalesce(server_port, {port})" if lake.has("server_port") else port,
            "coalesce(r.service, own.service)",
        )
    if lake.has("server_port") or not lake.has("src_port", "dst_port"):
        # One port alone, as rollups have it, is taken for the server's.
        port = "coalesce(server_port, dst_port, src_port)"
        return (
            "CASE WHEN dst_port IS NOT NULL THEN 'dst' END",
            port,
            "coalesce(r.service, own.service, dst.service, src.service)",
        )
    src, dst = "coalesce(src.claim, 0)", "coalesce(dst.claim, 0)"
    of = f"CASE WHEN {dst} > {src} THEN {{dst}} WHEN {src} > {dst} THEN {{src}}{{same}} END"
    same = f" WHEN src_port = dst_port AND r.protocol IN {flow_rules.PORT_PROTOCOLS} THEN "
    return (
        of.format(dst="'dst'", src="'src'", same=""),
        of.format(dst="dst_port", src="src_port", same=f"{same}dst_port"),
        "coalesce(r.service, "
        + of.format(dst="dst.service", src="src.service", same=f"{same}dst.service")
        + ")",
    )
