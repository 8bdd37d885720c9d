"""Registers the components of ktrans-gcp. Imports no SDK."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """Return the components of this plugin."""
    return [
        Spec(
            kind="source",
            type="gcs",
            build="ktrans_gcp.gcs_source:GcsSource",
            config="ktrans_gcp.gcs_source:GcsSourceConfig",
            summary="Objects of a Google Cloud Storage bucket",
        ),
        Spec(
            kind="sink",
            type="gcs",
            build="ktrans_gcp.gcs_sink:GcsSink",
            config="ktrans_gcp.gcs_sink:GcsSinkConfig",
            summary="Objects in a Google Cloud Storage bucket",
            delivery="exactly_once",
        ),
        Spec(
            kind="source",
            type="pubsub",
            build="ktrans_gcp.pubsub_source:PubsubSource",
            config="ktrans_gcp.pubsub_source_config:PubsubSourceConfig",
            summary="Messages of a Google Cloud Pub/Sub subscription",
        ),
        Spec(
            kind="sink",
            type="pubsub",
            build="ktrans_gcp.pubsub_sink:PubsubSink",
            config="ktrans_gcp.pubsub_sink_config:PubsubSinkConfig",
            summary="Messages of a Google Cloud Pub/Sub topic",
            delivery="at_least_once",
        ),
        Spec(
            kind="enricher",
            type="gcp_metadata",
            build="ktrans_gcp.gcp_metadata:GcpMetadataEnricher",
            config="ktrans_gcp.gcp_metadata:GcpMetadataEnricherConfig",
            summary="Instances, networks and labels of Google Cloud addresses",
        ),
        Spec(
            kind="sink",
            type="bigquery",
            build="ktrans_gcp.bigquery_sink:BigQuerySink",
            config="ktrans_gcp.bigquery_config:BigQuerySinkConfig",
            summary="Rows of a BigQuery table",
            delivery="exactly_once",
        ),
        Spec(
            kind="state",
            type="gcs",
            build="ktrans_gcp.gcs_state:GcsState",
            config="ktrans_gcp.gcs_state:GcsStateConfig",
            summary="A Google Cloud Storage bucket, for runs that share nothing else",
        ),
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
