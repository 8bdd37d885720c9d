"""Writes a snapshot of EC2's network interfaces: `python -m ktrans_aws.snapshot FILE`."""

from __future__ import annotations

import click

from ktrans.kit.inventory.command import write_snapshot
from ktrans_aws.client import AwsConfig
from ktrans_aws.ec2_inventory import take


@click.command()
@click.argument("file")
@click.option("--region", "regions", multiple=True, help="A region to ask; may be repeated.")
@click.option("--profile", help="Profile of ~/.aws/config to use.")
@click.option("--role-arn", help="Role to assume.")
@click.option("--endpoint-url", help="Where EC2 is, if it is not AWS itself.")
def main(
    file: str,
    regions: tuple[str, ...],
    profile: str | None,
    role_arn: str | None,
    endpoint_url: str | None,
) -> None:
    """Ask EC2 for all network interfaces, and write what it says to FILE, or into a folder.

    The `aws_metadata` enricher reads such files: `snapshot: FILE`.
    """
    config = AwsConfig(type="aws", profile=profile, role_arn=role_arn, endpoint_url=endpoint_url)
    write_snapshot(lambda: take(config, regions or None), file)


if __name__ == "__main__":
    main()
