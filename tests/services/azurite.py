"""Azurite, Microsoft's emulator of Azure Storage: blobs and queues.

It is told not to look at the version of the API, as the SDKs are always ahead of it. Leases,
ETag conditions, append blobs, block lists, shared keys and SAS work as in Azure; no Event Grid.
"""

from __future__ import annotations

from tests.services._launch import Server, accepts_tcp, find, launch, program

ACCOUNT = "devstoreaccount1"
# The well-known key of the emulator: Microsoft, "Use the Azurite emulator", well-known account.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Azurite:
    """A running Azurite.

    Attributes:
        account: name of the storage account.
        key: its shared key.
        blob_url: endpoint of the blobs, account included.
        queue_url: endpoint of the queues, account included.
        connection_string: all of that for the SDK.
    """

    def __init__(self) -> None:
        binary = find("azurite", "azurite/node_modules/.bin/azurite", program="azurite")
        program("node")
        self._server = launch(
            lambda: Server(
                "azurite",
                lambda ports, folder: [
                    *(str(binary), "--silent", "--disableTelemetry", "--skipApiVersionCheck"),
                    *("--location", str(folder / "data")),
                    *("--blobHost", "127.0.0.1", "--blobPort", str(ports[0])),
                    *("--queueHost", "127.0.0.1", "--queuePort", str(ports[1])),
                    *("--tableHost", "127.0.0.1", "--tablePort", str(ports[2])),
                ],
                lambda ports: accepts_tcp(ports[0]) and accepts_tcp(ports[1]),
                ports=3,
            )
        )
        blob, queue, _ = self._server.ports
        self.account, self.key = ACCOUNT, KEY
        self.blob_url = f"http://127.0.0.1:{blob}/{ACCOUNT}"
        self.queue_url = f"http://127.0.0.1:{queue}/{ACCOUNT}"
        self.connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.blob_url};QueueEndpoint={self.queue_url};"
        )

    def close(self) -> None:
        """Stop it."""
        self._server.close()
