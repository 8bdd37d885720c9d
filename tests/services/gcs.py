"""fake-gcs-server: Google Cloud Storage in memory.

As the real one, by trial of version 1.56: ifGenerationMatch of uploads (412), simple, multipart and
resumable; an upload that is not finished is not seen; listings have pages, prefixes, delimiters and
offsets; byte ranges (416 past the end), gzip transcoding, metadata, copies, compositions; 404.

Where it lies: ifGenerationMatch is ignored by reads, deletions, copies and compositions (a read with
`generation` of something replaced is 404, as in a bucket without versions); `match_glob` is ignored;
batch requests fail; testIamPermissions is 404, as nobody is refused anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.services._launch import Server, answers_http, find, launch

PROJECT = "ktrans-test"


class GcsServer:
    """A running fake-gcs-server.

    Attributes:
        url: the endpoint, without a path.
        project: a project's name.
        environ: environment variables by which Google's SDKs find it.
    """

    def __init__(self) -> None:
        binary = find("gcs", "go/fake-gcs-server", program="fake-gcs-server")
        self._server = launch(
            lambda: Server(
                "gcs",
                lambda ports, _: [
                    *(str(binary), "-scheme", "http", "-backend", "memory"),
                    *("-host", "127.0.0.1", "-port", str(ports[0])),
                    # Uploads that are resumed go to this address.
                    *("-external-url", f"http://127.0.0.1:{ports[0]}"),
                    *("-public-host", f"127.0.0.1:{ports[0]}"),
                ],
                lambda ports: answers_http(ports[0], "/storage/v1/b?project=p"),
            )
        )
        self.url = f"http://127.0.0.1:{self._server.ports[0]}"
        self.project = PROJECT
        self.environ: Mapping[str, str] = {
            "STORAGE_EMULATOR_HOST": self.url,
            "GOOGLE_CLOUD_PROJECT": PROJECT,
        }

    def client(self) -> Any:
        """Return a client of google-cloud-storage."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        return storage.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.url},
        )

    def close(self) -> None:
        """Stop it."""
        self._server.close()
