"""Options to reach AWS, or a service with the same API, and clients made from them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

from pydantic import Field, SecretStr

from ktrans.api import ComponentConfig
from ktrans.kit.units import Duration
from ktrans_aws.errors import aws_errors

ENDPOINT = r"^https?://[^\s/?#]+"
"""The pattern of addresses."""
_CONNECT_SECS = 10


class AwsConfig(ComponentConfig):
    """Options of everything that uses AWS.

    Without any, credentials and region are found as AWS tools do: environment, profile, the role of
    the container or the machine.
    """

    region: str | None = Field(
        None,
        description="Region; by default that of the environment or the profile.",
        examples=["eu-central-1"],
    )
    endpoint_url: str | None = Field(
        None,
        pattern=ENDPOINT,
        description="Address of the service, if it is not AWS itself: MinIO, Ceph, a VPC endpoint.",
        examples=["https://minio.example.net:9000"],
    )
    profile: str | None = Field(
        None, description="Profile of ~/.aws/config to use.", examples=["logs"]
    )
    access_key_id: str | None = Field(
        None,
        description="Access key; better left to the environment or a role.",
        examples=["${env:LOGS_KEY_ID}"],
    )
    secret_access_key: SecretStr | None = Field(
        None, description="Secret of the access key.", examples=["${env:LOGS_SECRET}"]
    )
    session_token: SecretStr | None = Field(
        None, description="Session token of temporary keys.", examples=["${env:LOGS_TOKEN}"]
    )
    role_arn: str | None = Field(
        None,
        description="Role to assume, for example in the account that keeps the logs; its session is"
        " renewed by itself.",
        examples=["arn:aws:iam::123456789012:role/flow-log-reader"],
    )
    role_external_id: str | None = Field(
        None, description="External id that the role asks for.", examples=["ktrans-7f3a"]
    )
    sts_endpoint_url: str | None = Field(
        None,
        pattern=ENDPOINT,
        description="Address of STS, where the role is assumed, if it is not the usual one.",
        examples=["https://sts.eu-central-1.amazonaws.com"],
    )
    timeout: Duration = Field(
        60, gt=0, description="How long to wait for the next bytes of an answer.", examples=[30]
    )
    max_attempts: int = Field(
        5,
        ge=1,
        description="How often a request is tried, with growing pauses, before the error counts.",
        examples=[10],
    )


class S3Access(AwsConfig):
    """Options of everything that reads or writes objects of S3."""

    path_style: bool = Field(
        False,
        description="Whether the bucket is in the path and not in the host name, as MinIO and Ceph"
        " often need it.",
        examples=[True],
    )
    anonymous: bool = Field(
        False, description="Whether requests go unsigned, for public buckets.", examples=[True]
    )
    request_payer: bool = Field(
        False,
        description="Whether you pay for requests to a requester-pays bucket.",
        examples=[True],
    )
    checksums: Literal["when_supported", "when_required"] = Field(
        "when_supported",
        description="When the SDK adds checksums of its own; `when_required` for servers that do"
        " not know them.",
        examples=["when_required"],
    )

    @property
    def payer(self) -> dict[str, str]:
        """The part of each request that says who pays."""
        return {"RequestPayer": "requester"} if self.request_payer else {}


class S3Config(S3Access):
    """Options of everything that uses one bucket."""

    bucket: str = Field(min_length=1, description="Name of the bucket.", examples=["my-flow-logs"])


def make_client(
    config: AwsConfig, service: str, *, connections: int = 10, endpoint_url: str | None = None
) -> Any:
    """Make a client, without a connection; imports the SDK.

    Args:
        config: how to reach the service.
        service: as boto3 names it: "s3", "sqs", "ec2".
        connections: how many requests may run at a time.
        endpoint_url: the address, if it is not that of the config.

    Raises:
        ConfigError: no such profile, no region.
    """
    with aws_errors(f"make a client for {service}"):
        session = _session(config)
        return session.client(
            service,
            endpoint_url=endpoint_url or config.endpoint_url,
            config=_settings(config, service, connections),
        )


def store_options(config: S3Access) -> dict[str, str]:
    """Return how to reach S3 with other libraries, as object_store names it, with the credentials of now.

    Raises:
        ConfigError: no such profile.
        AccessError: no credentials.
    """
    with aws_errors("find credentials for S3"):
        session = _session(config)
        keys = session.get_credentials()
        frozen = keys.get_frozen_credentials() if keys else None
    found = {
        "aws_access_key_id": frozen and frozen.access_key,
        "aws_secret_access_key": frozen and frozen.secret_key,
        "aws_session_token": frozen and frozen.token,
        "aws_region": session.region_name,
        "aws_endpoint": config.endpoint_url or os.environ.get("AWS_ENDPOINT_URL"),
        "aws_virtual_hosted_style_request": "false" if config.path_style else None,
    }
    if (found["aws_endpoint"] or "").startswith("http://"):
        found["aws_allow_http"] = "true"
    return {name: value for name, value in found.items() if value}


def pages(client: Any, operation: str, what: str, **options: Any) -> Iterator[dict[str, Any]]:
    """Return the pages of an answer, each requested when it is needed."""
    found = iter(client.get_paginator(operation).paginate(**options))
    while True:
        with aws_errors(what):
            page = next(found, None)
        if page is None:
            return
        yield page


def _settings(config: AwsConfig, service: str, connections: int) -> Any:
    from botocore import UNSIGNED
    from botocore.config import Config

    settings: dict[str, Any] = {
        "retries": {"mode": "standard", "total_max_attempts": config.max_attempts},
        "connect_timeout": _CONNECT_SECS,
        "read_timeout": config.timeout,
        "max_pool_connections": connections,
        "tcp_keepalive": True,
        "user_agent_extra": "ktrans",
    }
    if isinstance(config, S3Access) and service == "s3":
        settings["s3"] = {"addressing_style": "path" if config.path_style else "auto"}
        settings["request_checksum_calculation"] = config.checksums
        settings["response_checksum_validation"] = config.checksums
        if config.anonymous:
            settings["signature_version"] = UNSIGNED
    return Config(**settings)


def _session(config: AwsConfig) -> Any:
    import boto3

    secret, token = config.secret_access_key, config.session_token
    session = boto3.Session(
        profile_name=config.profile,
        region_name=config.region,
        aws_access_key_id=config.access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        aws_session_token=token.get_secret_value() if token else None,
    )
    return _in_role(config, session) if config.role_arn else session


def _in_role(config: AwsConfig, session: Any) -> Any:
    """Return a session with the credentials of the role, renewed before they expire."""
    import boto3
    import botocore.session
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    extra = {"RoleSessionName": "ktrans"}
    if config.role_external_id:
        extra["ExternalId"] = config.role_external_id
    fetcher = AssumeRoleCredentialFetcher(
        partial(session.client, endpoint_url=config.sts_endpoint_url),
        session.get_credentials(),
        config.role_arn,
        extra_args=extra,
    )
    made = botocore.session.Session()
    # The SDK has no public way to give a session credentials that renew themselves.
    made._credentials = DeferredRefreshableCredentials(  # noqa: SLF001
        fetcher.fetch_credentials, "assume-role"
    )
    return boto3.Session(botocore_session=made, region_name=session.region_name)
