"""Registers the built-in components, in the same way as plugins."""

from __future__ import annotations

from typing import Any

from ktrans.api.spec import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components that come with ktrans itself."""
    return [*SOURCES, *DECODERS, *ENRICHERS, *FORMATS, *SINKS, *STATES]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of ktrans itself, by subject."""
    from importlib.resources import files

    folder = files("ktrans.registry") / "codes"
    return [folder.joinpath(f"{name}.toml").read_text("utf-8") for name in CODE_FILES]


@hookimpl
def ktrans_log_events() -> list[str]:
    """Name the modules that declare the log events of ktrans itself."""
    return [f"ktrans.{room}.log_events" for room in LOGGING_ROOMS]


@hookimpl
def ktrans_known_types() -> dict[str, str]:
    """Name the plugins of ours that bring a type, for users who have not installed them."""
    return WELL_KNOWN


def _spec(kind: str, name: str, module: str, cls: str, summary: str, **more: object) -> Spec:
    folder = "decoders.logs" if kind == "decoder" and module != "auto" else f"{kind}s"
    where = f"ktrans.{folder}.{module}"
    return Spec(
        kind=kind,  # type: ignore[arg-type]
        type=name,
        build=f"{where}:{cls}",
        config=f"{where}:{cls}Config",
        summary=summary,
        **more,  # type: ignore[arg-type]
    )


def _log(name: str, summary: str, **more: Any) -> Spec:
    """Return the Spec of a log that `ktrans.decoders.logs` declares in a module of its name."""
    where = f"ktrans.decoders.logs.{name}:LOG"
    return Spec(
        kind="decoder",
        type=name,
        build=f"{where}.decoder",
        config=f"{where}.config",
        summary=summary,
        sniff=f"{where}.recognise",
        **more,
    )


CODE_FILES = (
    *("config", "plugins", "tables", "input", "records", "run", "state"),
    *("services", "line_protocol"),
)
LOGGING_ROOMS = ("observe", "engine", "kit.state", "cli", "registry", "decoders", "kit")
WELL_KNOWN = {
    "aws_metadata": "ktrans-aws",
    "azure_blob": "ktrans-azure",
    "gcs": "ktrans-gcp",
    "generate": "ktrans-generate",
    "geoip": "ktrans-geoip",
    "influxdb": "ktrans-influxdb",
    "kafka": "ktrans-kafka",
    "postgres": "ktrans-postgres",
    "pubsub": "ktrans-gcp",
    "s3": "ktrans-aws",
    "sql": "ktrans-sql",
    "sqs": "ktrans-aws",
}
SOURCES = [
    _spec("source", "file", "file", "FileSource", "Files by path and glob", stability="stable"),
    _spec("source", "stdin", "stdin", "StdinSource", "Standard input, spooled so that it resumes"),
]
DECODERS = [
    _spec(
        "decoder",
        "auto",
        "auto",
        "AutoDecoder",
        "Looks at each object and picks the decoder",
        stability="stable",
    ),
    _log("aws_vpc", "AWS VPC flow logs, versions 2 to 11, text and Parquet", stability="stable"),
    _log("aws_tgw", "AWS Transit Gateway flow logs, text and Parquet", stability="stable"),
    _log(
        "gcp_vpc",
        "Google Cloud VPC flow logs: log entries as JSON lines, arrays or Pub/Sub messages",
    ),
    _log("gcp_firewall", "Google Cloud firewall rules logs: log entries, one connection each"),
    _log("zeek_conn", "Zeek conn.log, tab-separated text and JSON"),
    _log("azure_nsg", "Azure network security group flow logs, versions 1 and 2"),
    _log("azure_vnet", "Azure virtual network flow logs, version 4"),
    _log("oci_vcn", "Oracle Cloud VCN flow logs, JSON"),
    _log("ibm_vpc", "IBM Cloud VPC flow logs, one JSON document an object"),
    _log("alibaba_vpc", "Alibaba Cloud VPC flow logs, JSON from Simple Log Service"),
    _log("aws_network_firewall", "AWS Network Firewall flow logs, Suricata JSON"),
    _log("hubble", "Cilium Hubble flows, JSON"),
    _log("cloudflare_network_analytics", "Cloudflare Network Analytics logs, JSON from Logpush"),
    _log("goflow2", "NetFlow, IPFIX and sFlow as JSON from goflow2"),
    _spec("decoder", "flow_json", "flow_json", "FlowJsonDecoder", "Any JSON log, by a mapping"),
    _spec(
        "decoder", "flow_kv", "flow_kv", "FlowKvDecoder", "Any log of key=value pairs, by a mapping"
    ),
    _spec("decoder", "flow_csv", "flow_csv", "FlowCsvDecoder", "Any CSV log, by a mapping"),
    _log("huawei_vpc", "Huawei Cloud and Open Telekom Cloud VPC flow logs"),
    _log("tencent_vpc", "Tencent Cloud flow logs of network interfaces"),
    _log("tencent_ccn", "Tencent Cloud flow logs of cross-region traffic"),
    _log("ktrans", "Flow rows that ktrans wrote, Parquet and JSON lines"),
    _log("ocsf", "OCSF Network Activity (Amazon Security Lake), Parquet and JSON"),
]
ENRICHERS = [
    _spec("enricher", "rollup", "rollup", "RollupEnricher", "Totals by window of time and group"),
    _spec("enricher", "filter", "filter", "FilterEnricher", "Keeps rows that match an expression"),
    _spec("enricher", "derive", "derive", "DeriveEnricher", "Computes columns from others"),
    _spec("enricher", "select", "select", "SelectEnricher", "Keeps, drops and renames columns"),
    _spec("enricher", "cidr", "cidr", "CidrEnricher", "Looks addresses up in a prefix table"),
    _spec("enricher", "services", "services", "ServicesEnricher", "Names protocols and services"),
    _spec("enricher", "labels", "labels", "LabelsEnricher", "Classes of addresses, direction"),
    _spec(
        "enricher",
        "hash_addresses",
        "hash_addresses",
        "HashAddressesEnricher",
        "Replaces addresses by keyed hashes",
    ),
    _spec("enricher", "python", "python", "PythonEnricher", "A function of an installed module"),
    _spec("enricher", "sample", "sample", "SampleEnricher", "Keeps 1 flow in N, with a weight"),
    _spec("enricher", "dedupe", "dedupe", "DedupeEnricher", "Drops redelivered rows"),
    _spec(
        "enricher",
        "one_report",
        "one_report",
        "OneReportEnricher",
        "Keeps one report of a flow that several capture points saw",
    ),
    _spec(
        "enricher", "stitch", "stitch", "StitchEnricher", "Joins both directions of a connection"
    ),
    _spec(
        "enricher",
        "community_id",
        "community_id",
        "CommunityIdEnricher",
        "Community IDs, by which other tools name the same connection",
    ),
    _spec(
        "enricher",
        "zones",
        "zones",
        "ZonesEnricher",
        "Region, zone and network of both ends, class and price of the path",
    ),
    _spec("enricher", "to_ocsf", "to_ocsf", "ToOcsfEnricher", "OCSF Network Activity records"),
    _spec("enricher", "to_ecs", "to_ecs", "ToEcsEnricher", "Elastic Common Schema documents"),
    _spec("enricher", "to_otel", "to_otel", "ToOtelEnricher", "OpenTelemetry log records"),
]
FORMATS = [
    _spec("format", "parquet", "parquet", "ParquetFormat", "Apache Parquet", stability="stable"),
    _spec("format", "jsonl", "jsonl", "JsonlFormat", "JSON lines", stability="stable"),
    _spec("format", "csv", "csv", "CsvFormat", "CSV with a header", stability="stable"),
    _spec("format", "arrow", "arrow", "ArrowFormat", "Arrow IPC"),
    _spec("format", "influx", "influx", "InfluxFormat", "InfluxDB line protocol"),
    _spec("format", "es_bulk", "es_bulk", "EsBulkFormat", "Elasticsearch bulk requests"),
]
SINKS = [
    _spec(
        "sink",
        "file",
        "file",
        "FileSink",
        "Files in partitioned folders",
        stability="stable",
        delivery="exactly_once",
    ),
    _spec("sink", "stdout", "stdout", "StdoutSink", "Standard output", delivery="at_least_once"),
    _spec(
        "sink", "blackhole", "blackhole", "BlackholeSink", "Discards rows", delivery="exactly_once"
    ),
]
STATES = [
    Spec(
        kind="state",
        type="sqlite",
        build="ktrans.state.sqlite:SqliteState",
        config="ktrans.state.sqlite:SqliteStateConfig",
        summary="A SQLite file, for all runs of one machine",
        stability="stable",
    ),
]
