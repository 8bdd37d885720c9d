"""Writes a snapshot of the addresses of projects: `python -m ktrans_gcp.snapshot FILE`."""

from __future__ import annotations

import click

from ktrans.kit.inventory.command import write_snapshot
from ktrans_gcp.compute_inventory import take
from ktrans_gcp.google_auth import GoogleConfig


@click.command()
@click.argument("file")
@click.option(
    "--project", "projects", multiple=True, required=True, help="A project; may be repeated."
)
@click.option("--credentials-file", help="File of credentials, instead of the default ones.")
@click.option("--impersonate", help="Service account to act as.")
@click.option("--endpoint", help="Where the Compute Engine API is, if not at Google.")
def main(
    file: str,
    projects: tuple[str, ...],
    credentials_file: str | None,
    impersonate: str | None,
    endpoint: str | None,
) -> None:
    """Ask Compute Engine for all addresses of projects, and write what it says to FILE, or into a folder.

    The `gcp_metadata` enricher reads such files: `snapshot: FILE`.
    """
    config = GoogleConfig(
        type="gcp", credentials_file=credentials_file, impersonate=impersonate, endpoint=endpoint
    )
    write_snapshot(lambda: take(config, projects), file)


if __name__ == "__main__":
    main()
