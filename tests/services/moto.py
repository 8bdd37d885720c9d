"""Moto as a server of its own: S3, SQS, SNS, EC2, STS and the other AWS services that it imitates.

Not faithful: every key is accepted and no signature is checked. Preconditions (If-Match,
If-None-Match), multipart uploads, listing pages and notifications from S3 to SQS work as in AWS.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.services._launch import MissingServerError, Server, answers_http, launch

REGION = "us-east-1"
_PROGRAM = str(Path(__file__).with_name("_moto_server.py"))


class S3Server:
    """A running moto.

    Attributes:
        url: the endpoint of every service.
        region: the region to name.
        environ: environment variables by which any AWS SDK finds it.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
            raise MissingServerError("moto is not installed: pip install 'moto[server]'")
        self._server = launch(
            lambda: Server(
                "moto",
                lambda ports, _: [
                    *(sys.executable, "-P", _PROGRAM),  # beside it is a file called moto
                    *("-H", "127.0.0.1", "-p", str(ports[0])),
                ],
                lambda ports: answers_http(ports[0], "/moto-api/"),
            )
        )
        self.url = f"http://127.0.0.1:{self._server.ports[0]}"
        self.region = REGION
        self.environ: Mapping[str, str] = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, **options: Any) -> Any:
        """Return a boto3 client of one service."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # moto takes any
            **options,
        )

    def close(self) -> None:
        """Stop it."""
        self._server.close()
