"""Registers the built-in components, in the same way as plugins."""

from __future__ import annotations

from typing import Any

from ktrans.api.spec import Kind, Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components that come with ktrans itself."""
    return [*SOURCES, *DECODERS, *ENRICHERS, *FORMATS, *SINKS, *STATES, *EXECUTORS]


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


def _specs(kind: Kind, summaries: dict[str, str], **more: Any) -> list[Spec]:
    """Return the Specs of components that are in a module of their name each."""
    return [
        _spec(kind, f"ktrans.{kind}s.{name}", name, text, **more)
        for name, text in summaries.items()
    ]


def _spec(kind: Kind, module: str, name: str, summary: str, **more: Any) -> Spec:
    """Return the Spec of a component, whose class is named for its type and kind: `ToOcsfEnricher`."""
    words = f"{name}_{kind}".split("_")
    build = f"{module}:{''.join(word.capitalize() for word in words)}"
    return Spec(kind=kind, type=name, build=build, config=f"{build}Config", summary=summary, **more)


def _log(name: str, summary: str, **more: Any) -> Spec:
    """Return the Spec of a log that `ktrans.decoders.logs` declares in a module of its name."""
    where = f"{LOGS}.{name}:LOG"
    return Spec(
        kind="decoder",
        type=name,
        build=f"{where}.decoder",
        config=f"{where}.config",
        summary=summary,
        sniff=f"{where}.recognise",
        **more,
    )


LOGS = "ktrans.decoders.logs"
CODE_FILES = (
    *("config", "plugins", "tables", "input", "records", "run", "state"),
    *("services", "line_protocol"),
)
LOGGING_ROOMS = ("observe", "engine", "kit.state", "registry", "decoders", "kit")
WELL_KNOWN = {
    "aws_metadata": "ktrans-aws",
    "azure_blob": "ktrans-azure",
    "azure_metadata": "ktrans-azure",
    "azure_monitor": "ktrans-azure",
    "bigquery": "ktrans-gcp",
    "clickhouse": "ktrans-clickhouse",
    "cloudwatch_logs": "ktrans-aws",
    "delta": "ktrans-lake",
    "dns": "ktrans-dns",
    "firehose": "ktrans-aws",
    "gcp_metadata": "ktrans-gcp",
    "gcs": "ktrans-gcp",
    "generate": "ktrans-generate",
    "geoip": "ktrans-geoip",
    "iceberg": "ktrans-lake",
    "influxdb": "ktrans-influxdb",
    "kafka": "ktrans-kafka",
    "kinesis": "ktrans-aws",
    "nats": "ktrans-nats",
    "postgres": "ktrans-postgres",
    "prometheus": "ktrans-prometheus",
    "pubsub": "ktrans-gcp",
    "rabbitmq": "ktrans-rabbitmq",
    "ray": "ktrans-ray",
    "s3": "ktrans-aws",
    "sql": "ktrans-sql",
    "sqs": "ktrans-aws",
}
SOURCES = [
    *_specs("source", {"file": "Files by path and glob"}, stability="stable"),
    *_specs(
        "source",
        {
            "stdin": "Standard input, spooled so that it resumes",
            "http": "Requests of services that push, spooled before they are answered",
        },
    ),
]
DECODERS = [
    *_specs("decoder", {"auto": "Looks at each object and picks the decoder"}, stability="stable"),
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
    _log("ktranslate", "Flows of Kentik's KTranslate, flat_json and json"),
    _spec("decoder", f"{LOGS}.flow_json", "flow_json", "Any JSON log, by a mapping"),
    _spec("decoder", f"{LOGS}.flow_kv", "flow_kv", "Any log of key=value pairs, by a mapping"),
    _spec("decoder", f"{LOGS}.flow_csv", "flow_csv", "Any CSV log, by a mapping"),
    _log("huawei_vpc", "Huawei Cloud and Open Telekom Cloud VPC flow logs"),
    _log("tencent_vpc", "Tencent Cloud flow logs of network interfaces"),
    _log("tencent_ccn", "Tencent Cloud flow logs of cross-region traffic"),
    _log("ktrans", "Flow rows that ktrans wrote, Parquet and JSON lines"),
    _log("ocsf", "OCSF Network Activity (Amazon Security Lake), Parquet and JSON"),
]
ENRICHERS = _specs(
    "enricher",
    {
        "rollup": "Totals by window of time and group",
        "filter": "Keeps rows that match an expression",
        "derive": "Computes columns from others",
        "select": "Keeps, drops and renames columns",
        "cidr": "Looks addresses up in a prefix table",
        "threat_list": "Which addresses and domains are on published lists",
        "services": "Names protocols and services",
        "labels": "Classes of addresses, direction",
        "hash_addresses": "Replaces addresses by keyed hashes",
        "python": "A function of an installed module",
        "sample": "Keeps 1 flow in N, with a weight",
        "dedupe": "Drops redelivered rows",
        "one_report": "Keeps one report of a flow that several capture points saw",
        "stitch": "Joins both directions of a connection",
        "community_id": "Community IDs, by which other tools name the same connection",
        "zones": "Region, zone and network of both ends, class and price of the path",
        "to_ocsf": "OCSF Network Activity records",
        "to_ecs": "Elastic Common Schema documents",
        "to_otel": "OpenTelemetry log records",
        "to_kentik": "Records of Kentik's KTranslate",
    },
)
STABLE_FORMATS = {
    "parquet": "Apache Parquet",
    "jsonl": "JSON lines",
    "csv": "CSV with a header",
}
OTHER_FORMATS = {
    "arrow": "Arrow IPC",
}
FORMATS = [
    *_specs("format", STABLE_FORMATS, stability="stable"),
    *_specs("format", OTHER_FORMATS),
    _spec("format", "ktrans.kit.rows.es_bulk", "es_bulk", "Elasticsearch bulk requests"),
    _spec("format", "ktrans.kit.rows.influx", "influx", "InfluxDB line protocol"),
]
SINKS = [
    *_specs(
        "sink",
        {"file": "Files in partitioned folders"},
        stability="stable",
        delivery="exactly_once",
    ),
    *_specs("sink", {"stdout": "Standard output"}, delivery="at_least_once"),
    *_specs("sink", {"blackhole": "Discards rows"}, delivery="exactly_once"),
    *_specs(
        "sink",
        {"elasticsearch": "Elasticsearch and OpenSearch, by bulk requests"},
        delivery="exactly_once",
    ),
    *_specs(
        "sink",
        {
            "datadog": "Logs for Datadog",
            "http": "Requests of JSON, CSV or other text to any HTTP API",
            "loki": "Log lines for Grafana Loki, VictoriaLogs and other takers of its push API",
            "new_relic": "Logs for New Relic",
            "otlp": "Logs and metrics for OpenTelemetry collectors and stores, by OTLP over HTTP",
            "splunk_hec": "Events for Splunk's HTTP Event Collector",
        },
        delivery="at_least_once",
    ),
]
STATES = [
    _spec(
        "state",
        "ktrans.state.sqlite",
        "sqlite",
        "A SQLite file, for all runs of one machine",
        stability="stable",
    )
]
EXECUTORS = _specs(
    "executor",
    {
        "threads": "Threads of one process",
        "processes": "Processes on this machine, one task each at a time",
    },
)
