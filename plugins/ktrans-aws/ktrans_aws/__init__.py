"""Registers the components of ktrans-aws. Imports no SDK."""

from __future__ import annotations

from ktrans.api import Spec, hookimpl


@hookimpl
def ktrans_components() -> list[Spec]:
    """Return the components of this plugin."""
    return [
        Spec(
            kind="source",
            type="s3",
            build="ktrans_aws.s3_source:S3Source",
            config="ktrans_aws.s3_source:S3SourceConfig",
            summary="Objects of an S3 bucket, found by listing",
        ),
        Spec(
            kind="source",
            type="sqs",
            build="ktrans_aws.sqs_source:SqsSource",
            config="ktrans_aws.sqs_source:SqsSourceConfig",
            summary="Objects of S3 buckets, announced by notifications in an SQS queue",
            finite=False,
        ),
        Spec(
            kind="source",
            type="kinesis",
            build="ktrans_aws.kinesis_source:KinesisSource",
            config="ktrans_aws.kinesis_config:KinesisSourceConfig",
            summary="Records of a Kinesis data stream, each once",
        ),
        Spec(
            kind="source",
            type="cloudwatch_logs",
            build="ktrans_aws.logs_source:CloudwatchLogsSource",
            config="ktrans_aws.logs_config:CloudwatchLogsSourceConfig",
            summary="Events of log groups of CloudWatch Logs, each once",
        ),
        Spec(
            kind="enricher",
            type="aws_metadata",
            build="ktrans_aws.aws_metadata:AwsMetadataEnricher",
            config="ktrans_aws.aws_metadata:AwsMetadataEnricherConfig",
            summary="Names, tags and locations of EC2 network interfaces",
        ),
        Spec(
            kind="sink",
            type="s3",
            build="ktrans_aws.s3_sink:S3Sink",
            config="ktrans_aws.s3_sink:S3SinkConfig",
            summary="Objects in an S3 bucket, partitioned and exactly once",
            delivery="exactly_once",
        ),
        Spec(
            kind="sink",
            type="kinesis",
            build="ktrans_aws.kinesis_sink:KinesisSink",
            config="ktrans_aws.kinesis_sink:KinesisSinkConfig",
            summary="Records of a Kinesis data stream",
            delivery="at_least_once",
        ),
        Spec(
            kind="sink",
            type="firehose",
            build="ktrans_aws.firehose_sink:FirehoseSink",
            config="ktrans_aws.firehose_sink:FirehoseSinkConfig",
            summary="Records of a Firehose stream, which writes them on",
            delivery="at_least_once",
        ),
        Spec(
            kind="sink",
            type="sqs",
            build="ktrans_aws.sqs_sink:SqsSink",
            config="ktrans_aws.sqs_sink:SqsSinkConfig",
            summary="Messages of an SQS queue, standard or FIFO",
            delivery="at_least_once",
        ),
        Spec(
            kind="state",
            type="s3",
            build="ktrans_aws.s3_state:S3State",
            config="ktrans_aws.s3_state:S3StateConfig",
            summary="An S3 bucket, for runs that share nothing else",
        ),
    ]


@hookimpl
def ktrans_error_codes() -> list[str]:
    """Explain the error codes of this plugin."""
    from importlib.resources import files

    return [files(__name__).joinpath("codes.toml").read_text("utf-8")]
