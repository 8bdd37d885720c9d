"""What counts: each flow once, weighted, with its server, its scope and its verdict.

The table `flows` has for each row of the lake: `us`, its time; the addresses `src`, `dst`; `b`, `b_rev` and
`p`, `p_rev` (bytes and packets there and back, null if not reported) and `b_all`, `p_all` (both);
`n`, how many flows the row stands for; `state` (flow, nodata, skipdata); `verdict` (accept, reject
or null); `counted`, false for a second report of a flow; `serving` (src, dst or null), `port`,
`service`, `proto`; `scope` (internal, inbound, outbound, external or null); and the columns that
say where.
"""

# ruff: noqa: S608 - queries are built of our own names; values never become part of them

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ktrans_report.lake import Lake

NO_FLOW = ("NODATA", "SKIPDATA")
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
    _store_names(lake)
    scope = _store_scopes(lake)
    serving, port, service = _server(lake)
    weight = "coalesce(sample_weight, 1)"
    counters = {
        "b": _whole(f"bytes::HUGEINT * {weight}"),
        "b_rev": _whole(f"bytes_rev::HUGEINT * {weight}"),
        "p": _whole(f"packets::HUGEINT * {weight}"),
        "p_rev": _whole(f"packets_rev::HUGEINT * {weight}"),
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
        f" LEFT JOIN known AS {name} ON {name}.protocol = r.protocol AND {name}.port = r.{column}"
        for name, column in [*ports, ("own", "server_port")]
    )
    if scope == _SCOPE:
        joins += " LEFT JOIN inside AS i ON i.addr = src_addr LEFT JOIN inside AS j"
        joins += " ON j.addr = dst_addr"
    lake.store(f"SELECT {select} FROM {rows} AS r{joins}", "flows")


def _whole(number: str) -> str:
    """Keep a number within 64 bits; what lies beyond counts no flow's bytes, and becomes null."""
    return f"try_cast({number} AS BIGINT)"


def _verdict() -> str:
    action = "lower(action)"
    return (
        f"CASE WHEN {action} IN {_REJECTED} THEN 'reject'"
        f" WHEN {action} IN {_ACCEPTED} THEN 'accept' END"
    )


def _pair() -> str:
    """Both ends, the verdict and the hour as one number; null where there is none to compare."""
    return (
        f"CASE WHEN src_addr IS NULL OR dst_addr IS NULL THEN NULL ELSE"
        f" hash(src_addr, dst_addr, us // {HOUR_US}, coalesce({_verdict()}, '')) END"
    )


def _point() -> str:
    """The capture point as one number; those at the source's side are the lowest."""
    side = (
        "CASE coalesce(reporter, CASE lower(direction) WHEN 'egress' THEN 'source'"
        " WHEN 'outbound' THEN 'source' WHEN 'ingress' THEN 'destination'"
        " WHEN 'inbound' THEN 'destination' END)"
        " WHEN 'source' THEN 0 WHEN 'source_gateway' THEN 1 WHEN 'destination' THEN 2"
        " WHEN 'destination_gateway' THEN 3 WHEN 'interface' THEN 4 ELSE 5 END"
    )
    kind = (
        "CASE log_type WHEN 'azure.vnet' THEN 0 WHEN 'azure.nsg' THEN 1"
        " WHEN 'aws.vpc' THEN 2 WHEN 'aws.tgw' THEN 3 ELSE 4 END"
    )
    who = "hash(log_type, account_id, interface_id, instance_id, reporter) >> 8"
    return f"(({kind})::UBIGINT << 60) | (({side})::UBIGINT << 56) | ({who})"


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
    "CASE WHEN i.inside IS NULL OR j.inside IS NULL THEN NULL"
    " WHEN i.inside AND (j.inside OR j.\"group\") THEN 'internal' WHEN i.inside THEN 'outbound'"
    " WHEN j.inside OR j.\"group\" THEN 'inbound' ELSE 'external' END"
)


def _store_scopes(lake: Lake) -> str:
    """Give the expression for a flow's scope; classes of addresses are those of `labels`."""
    if lake.has("flow_scope"):
        return "flow_scope"
    if not lake.has("src_addr", "dst_addr"):
        return "NULL::VARCHAR"
    lake.db.execute('CREATE TABLE inside (addr VARCHAR, inside BOOLEAN, "group" BOOLEAN)')
    distinct = lake.db.cursor().sql(
        "SELECT src_addr AS addr FROM read WHERE src_addr IS NOT NULL"
        " UNION SELECT dst_addr FROM read WHERE dst_addr IS NOT NULL"
    )
    enricher = _component("labels", {"columns": {"src_class": "class"}})
    for batch in distinct.to_arrow_reader(1 << 16):
        lake.db.register("labelled", _label(enricher, batch))
        lake.db.execute(
            "INSERT INTO inside SELECT addr, class IN ('private', 'shared', 'unique_local',"
            " 'link_local', 'loopback'), class IN ('multicast', 'broadcast') FROM labelled"
            " WHERE class IS NOT NULL"
        )
        lake.db.unregister("labelled")
    return _SCOPE


def _label(enricher: Any, batch: pa.RecordBatch) -> pa.Table:
    """Give addresses with their class, by the component that pipelines use."""
    addr = batch.column(0).cast(pa.string()).dictionary_encode()
    given = pa.record_batch({"src_addr": addr, "dst_addr": addr})
    enricher.bind(given.schema)
    classes = enricher.apply(given).column("class").cast(pa.string())
    return pa.table({"addr": addr.cast(pa.string()), "class": classes})


def _component(kind: str, options: dict[str, Any]) -> Any:
    from ktrans.api import Context
    from ktrans.registry.catalogue import Catalogue

    catalogue = Catalogue()
    return catalogue.build(
        "enricher", catalogue.config("enricher", {"type": kind, **options}), Context()
    )


def _store_names(lake: Lake) -> None:
    """Store the names of protocols and of ports, as the enricher `services` knows them."""
    numbers = pa.array(range(256), pa.int16())
    nothing = pa.nulls(256, pa.int32())
    keywords = _services(numbers, nothing).append_column("protocol", numbers)
    lake.db.register("given", keywords)
    lake.db.execute(
        "CREATE TABLE keywords AS SELECT protocol::BIGINT AS protocol,"
        " protocol_name AS keyword FROM given"
    )
    lake.db.execute("CREATE TABLE known (protocol BIGINT, port BIGINT, service VARCHAR, claim INT)")
    ports = pa.array(range(1 << 16), pa.int32())
    for protocol in (6, 17, 33, 132, 136):
        of = pa.array([protocol], pa.int16()).take(pa.nulls(len(ports), pa.int8()).fill_null(0))
        lake.db.register("given", _services(of, ports).append_column("port", ports))
        lake.db.execute(
            f"INSERT INTO known SELECT {protocol}, port, service,"
            " CASE WHEN service IS NULL THEN 0 ELSE 2 END + CASE WHEN port < 1024 THEN 1 ELSE 0 END"
            " FROM given WHERE service IS NOT NULL OR port < 1024"
        )
    lake.db.unregister("given")


def _services(protocol: pa.Array, port: pa.Array) -> pa.Table:
    enricher = _component("services", {})
    given = pa.record_batch(
        {"protocol": protocol, "src_port": pa.nulls(len(port), pa.int32()), "dst_port": port}
    )
    enricher.bind(given.schema)
    done = enricher.apply(given).select(["protocol_name", "service"])
    return pa.table({name: done.column(name).cast(pa.string()) for name in done.schema.names})


def _server(lake: Lake) -> tuple[str, str, str]:
    """Give the expressions for the serving side, its port and its service's name."""
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
    same = " WHEN src_port = dst_port AND src.claim > 0 THEN "
    return (
        of.format(dst="'dst'", src="'src'", same=""),
        of.format(dst="dst_port", src="src_port", same=f"{same}dst_port"),
        "coalesce(r.service, "
        + of.format(dst="dst.service", src="src.service", same=f"{same}dst.service")
        + ")",
    )
