"""The plugin that brings the built-in components, registered like any other."""

from __future__ import annotations

from ktrans.api.spec import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """List the components that come with ktrans itself."""
    return [*SOURCES, *DECODERS, *ENRICHERS, *FORMATS, *SINKS]


def _spec(kind: str, name: str, module: str, cls: str, summary: str, **more: object) -> Spec:
    where = f"ktrans.{kind}s.{module}"
    return Spec(
        kind=kind,  # type: ignore[arg-type]
        type=name,
        build=f"{where}:{cls}",
        config=f"{where}:{cls}Config",
        summary=summary,
        **more,  # type: ignore[arg-type]
    )


SOURCES = [
    _spec("source", "file", "file", "FileSource", "Files by path and glob", stability="stable"),
    _spec("source", "stdin", "stdin", "StdinSource", "Standard input, spooled so that it resumes"),
    _spec("source", "generate", "generate", "GenerateSource", "Seeded synthetic flow logs"),
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
    _spec(
        "decoder",
        "aws_vpc",
        "aws_vpc",
        "AwsVpcDecoder",
        "AWS VPC flow logs, versions 2 to 11, text and Parquet",
        stability="stable",
        sniff="ktrans.decoders.aws_vpc:sniff",
    ),
    _spec(
        "decoder",
        "aws_tgw",
        "aws_tgw",
        "AwsTgwDecoder",
        "AWS Transit Gateway flow logs, text and Parquet",
        stability="stable",
        sniff="ktrans.decoders.aws_tgw:sniff",
    ),
]
ENRICHERS = [
    _spec("enricher", "filter", "filter", "FilterEnricher", "Keeps rows for which it holds"),
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
    _spec("enricher", "sample", "sample", "SampleEnricher", "Keeps 1 flow in N, with a weight"),
    _spec("enricher", "dedupe", "dedupe", "DedupeEnricher", "Drops redelivered rows"),
]
FORMATS = [
    _spec("format", "parquet", "parquet", "ParquetFormat", "Apache Parquet", stability="stable"),
    _spec("format", "jsonl", "jsonl", "JsonlFormat", "JSON lines", stability="stable"),
    _spec("format", "csv", "csv", "CsvFormat", "CSV with a header", stability="stable"),
    _spec("format", "arrow", "arrow", "ArrowFormat", "Arrow IPC"),
    _spec("format", "influx", "influx", "InfluxFormat", "InfluxDB line protocol"),
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
    _spec("sink", "blackhole", "blackhole", "BlackholeSink", "Nowhere", delivery="exactly_once"),
]
