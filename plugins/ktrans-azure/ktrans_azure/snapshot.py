"""Writes a snapshot of the addresses of subscriptions: `python -m ktrans_azure.snapshot FILE`."""

from __future__ import annotations

import click

from ktrans.kit.inventory.command import write_snapshot
from ktrans_azure.resource_graph import ResourceGraphConfig, take


@click.command()
@click.argument("file")
@click.option(
    "--subscription",
    "subscriptions",
    multiple=True,
    help="Id of a subscription; may be repeated. All that can be read by default.",
)
@click.option("--managed", is_flag=True, help="Use the managed identity of this machine.")
@click.option("--client-id", help="Client id of a user-assigned managed identity.")
@click.option("--endpoint", help="Where Azure Resource Manager is, for national clouds.")
def main(
    file: str,
    subscriptions: tuple[str, ...],
    managed: bool,
    client_id: str | None,
    endpoint: str | None,
) -> None:
    """Ask Azure Resource Graph for all addresses, and write what it says to FILE, or into a folder.

    The `azure_metadata` enricher reads such files: `snapshot: FILE`.
    """
    config = ResourceGraphConfig(
        type="azure",
        identity="managed" if managed else "default",
        client_id=client_id,
        endpoint=endpoint,
    )
    write_snapshot(lambda: take(config, subscriptions), file)


if __name__ == "__main__":
    main()
