"""Connections to one bucket of Cloud Storage, and what its store and its target have in common."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from pydantic import Field

from ktrans.api import Context
from ktrans.kit.files.path_template import STAGING
from ktrans_gcp.auth import GoogleConfig, credentials

CALL_SECS = (10.0, 60.0)
"""For how long to wait for a connection, and then for the next bytes of an answer."""
RETRY_SECS = 60.0
STAGED = f"{STAGING}/"
"""What the keys of unpublished objects begin with."""
MISSING = "create the bucket, or correct `bucket`"


class BucketConfig(GoogleConfig):
    """Which bucket, and who pays for the requests."""

    bucket: str = Field(
        min_length=3, pattern=r"^[^/]+$", description="The bucket's name.", examples=["flow-logs"]
    )
    user_project: str | None = Field(
        None,
        min_length=1,
        description="The project to bill for requests to a bucket whose requester pays.",
        examples=["my-project"],
    )


class Bucket:
    """A bucket, and two ways to talk to it: Google's client, and plain HTTP for reading.

    Args:
        config: names the bucket.
        context: for paths of credentials.
        threads: how many requests there are at a time.
    """

    def __init__(self, config: BucketConfig, context: Context, threads: int) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        endpoint = config.endpoint or os.environ.get("STORAGE_EMULATOR_HOST")
        who = (
            AnonymousCredentials()
            if (endpoint or "").startswith("http://")
            else credentials(config, context)
        )
        options = {"api_endpoint": endpoint.rstrip("/")} if endpoint else {}
        self.session = _session(who, threads)
        self.client = storage.Client(
            project=None, credentials=who, client_options=options, _http=self.session
        )
        # For the sake of traces the client would look up the bucket in the background, which takes
        # a right that reading and writing objects does not.
        self.client._bucket_metadata_cache = None  # noqa: SLF001
        self.name = config.bucket
        self.user_project = config.user_project
        self.bucket = self.client.bucket(config.bucket, user_project=config.user_project)

    @property
    def what(self) -> str:
        """The bucket's name for messages."""
        return f"bucket {self.name}"

    def uri(self, key: str) -> str:
        """Return an object's name for messages."""
        return f"gs://{self.name}/{key}"

    def media(self, key: str, generation: str) -> tuple[str, dict[str, str]]:
        """Return the address and the parameters of an object's bytes."""
        base = self.client.api_endpoint.rstrip("/")
        url = f"{base}/download/storage/v1/b/{quote(self.name, '')}/o/{quote(key, '')}"
        parameters = {"alt": "media", "generation": generation}
        if self.user_project:
            parameters["userProject"] = self.user_project
        return url, parameters

    def close(self) -> None:
        """Close the connections."""
        self.session.close()


def retrying(secs: float = RETRY_SECS) -> Any:
    """Return the policy for requests that may be made twice."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(secs).with_delay(initial=0.2, maximum=8.0, multiplier=2.0)


def _session(who: Any, threads: int) -> Any:
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter

    session = AuthorizedSession(who)
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=threads + 2)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
