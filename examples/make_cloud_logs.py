"""Makes the flow logs of examples/cloud-logs, a small object or two of every cloud.

    python examples/make_cloud_logs.py [folder]

All records are made up by ktrans's own generator, in the key layouts that the clouds use; run it
again and the same records come out.
"""
# ruff: noqa: INP001

from __future__ import annotations

import sys
from pathlib import Path

from ktrans.sources.generate import GenerateSourceConfig, write_files

START = "2026-05-04T08:00:00Z"
DAY = "2026/05/04"
AZURE = "y=2026/m=05/d=04/h=08/m=00/macAddress=000D3A1B2C3D"
SUBSCRIPTION = "resourceId=/SUBSCRIPTIONS/00000000-0000-0000-0000-00000000000A"
GUID = "11111111-2222-3333-4444-555555555555"

# log: (folder below the cloud's, stem of the file names, rows, compression)
OBJECTS = {
    "aws_vpc_v2": (
        f"aws/AWSLogs/111122223333/vpcflowlogs/eu-central-1/{DAY}",
        "111122223333_vpcflowlogs_eu-central-1_fl-0b9a5f2f6d1c3e478_20260504T0800Z_5d1f0a3c",
        200,
        "gzip",
    ),
    "aws_tgw": (
        f"aws/AWSLogs/111122223333/vpcflowlogs/eu-central-1/{DAY}",
        "111122223333_vpcflowlogs_eu-central-1_fl-0c61f8e2b7a94d503_20260504T0800Z_77c2b1e9",
        100,
        "gzip",
    ),
    "aws_network_firewall": (f"aws-network-firewall/{DAY}", "flow", 100, "gzip"),
    "gcp_vpc": (
        f"gcp/compute.googleapis.com/vpc_flows/{DAY}",
        "08:00:00_08:59:59_S0",
        200,
        "none",
    ),
    "azure_nsg_v2": (
        (
            f"azure/insights-logs-networksecuritygroupflowevent/{SUBSCRIPTION}/RESOURCEGROUPS/SHOP"
            f"/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/SHOP-NSG/{AZURE}"
        ),
        "PT1H",
        200,
        "none",
    ),
    "azure_vnet": (
        (
            "azure/insights-logs-flowlogflowevent/flowLogResourceID=/"
            f"{GUID}_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_SHOP-FLOWS/{AZURE}"
        ),
        "PT1H",
        200,
        "none",
    ),
    "oci_vcn": ("oci", "20260504T080000Z_20260504T080100Z.0.log", 200, "gzip"),
    "ibm_vpc": (
        (
            "ibm/ibm_vpc_flowlogs_v1/account=abc123/region=eu-de/year=2026/month=05/day=04/hour=08"
            "/stream-id=20260504T080000Z"
        ),
        "00000000",
        200,
        "gzip",
    ),
    "alibaba_vpc": ("alibaba", "flow_log", 200, "gzip"),
    "huawei_vpc": ("huawei", "vpc-flow-log", 100, "none"),
    "tencent_vpc": ("tencent", "vpc-flow-log", 100, "none"),
    "hubble": ("hubble", "events", 100, "none"),
    "cloudflare_network_analytics": (
        "cloudflare",
        "20260504T080000Z_20260504T080500Z",
        100,
        "gzip",
    ),
    "goflow2": ("goflow2", "flows", 100, "none"),
}


def make(folder: Path) -> list[Path]:
    """Write all objects below a folder, and give their paths."""
    made = []
    for number, (log, (place, stem, rows, compression)) in enumerate(OBJECTS.items()):
        config = GenerateSourceConfig.model_validate(
            {
                "log": log,
                "rows": rows,
                "rows_per_object": rows,
                "seed": 40 + number,
                "start": START,
                "duration": 300,
                "hosts": 12,
                "compression": compression,
            }
        )
        made += write_files(folder / place, config, stem)
    return made


if __name__ == "__main__":
    default = Path(__file__).parent / "cloud-logs"
    for path in make(Path(sys.argv[1]) if len(sys.argv) > 1 else default):
        print(path)  # noqa: T201
