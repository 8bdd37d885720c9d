"""Connections to one bucket of Cloud Storage."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

from pydantic import Field

from ktrans.api import Context
from ktrans.kit.files.path_template import STAGING
from ktrans_gcp.errors import google_errors
from ktrans_gcp.google_auth import GoogleConfig, credentials

CALL_SECS = (10.0, 60.0)
"""How long to wait for a connection, and then for the next bytes of an answer."""
RETRY_SECS = 60.0
STAGED = f"{STAGING}/"
"""The beginning of the keys of unpublished objects."""
READ_ACCESS = "grant roles/storage.objectViewer on the bucket to these credentials"
WRITE_ACCESS = "grant roles/storage.objectUser on the bucket to these credentials"


class BucketConfig(GoogleConfig):
    """Options of everything that uses one bucket."""

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
    """A bucket: Google's client, and a session of plain HTTP for reading.

    Args:
        config: the bucket and its authentication.
        context: for paths of credentials.
        threads: how many requests run at a time.
        access: the right that is needed, for messages.

    Raises:
        AccessError, ConfigError: there are no usable credentials.
    """

    def __init__(self, config: BucketConfig, context: Context, threads: int, access: str) -> None:
        self.name = config.bucket
        self.user_project = config.user_project
        self._access = access
        with self.errors():
            self._connect(config, context, threads)

    def _connect(self, config: BucketConfig, context: Context, threads: int) -> None:
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
        # For traces the client would look up the bucket in the background, which needs a right that
        # reading and writing objects do not.
        self.client._bucket_metadata_cache = None  # noqa: SLF001
        self.bucket = self.client.bucket(config.bucket, user_project=config.user_project)

    def errors(self, *, checking: bool = False) -> AbstractContextManager[None]:
        """Convert Google's errors (see `google_errors`)."""
        return google_errors(
            f"bucket {self.name}",
            missing="create the bucket, or correct `bucket`",
            access=self._access,
            checking=checking,
        )

    def uri(self, key: str) -> str:
        """Return an object's name for messages."""
        return f"gs://{self.name}/{key}"

    def media(self, key: str, generation: str) -> tuple[str, dict[str, str]]:
        """Return the address of an object's bytes, and the parameters."""
        base = self.client.api_endpoint.rstrip("/")
        url = f"{base}/download/storage/v1/b/{quote(self.name, '')}/o/{quote(key, '')}"
        parameters = {"alt": "media", "generation": generation}
        if self.user_project:
            parameters["userProject"] = self.user_project
        return url, parameters

    def close(self) -> None:
        """Close the connections."""
        self.session.close()


def call_options(retry_secs: float = RETRY_SECS) -> dict[str, Any]:
    """Return the options of a request that may be made twice: how long to wait and to repeat it."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    retry = DEFAULT_RETRY.with_timeout(retry_secs)
    retry = retry.with_delay(initial=0.2, maximum=8.0, multiplier=2.0)
    return {"retry": retry, "timeout": CALL_SECS}


def _session(who: Any, threads: int) -> Any:
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter

    session = AuthorizedSession(who)
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=threads + 2)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
