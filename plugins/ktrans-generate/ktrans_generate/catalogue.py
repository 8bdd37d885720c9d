"""The table of logs that can be generated, and their base class."""

from __future__ import annotations

import abc
import importlib
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ktrans_generate.flows import Flows

LOGS: dict[str, str] = {
    "aws_vpc_v2": "ktrans_generate.logs.aws:V2",
    "aws_vpc_v5": "ktrans_generate.logs.aws:V5",
    "aws_vpc_v7": "ktrans_generate.logs.aws:V7",
    "aws_vpc_v11": "ktrans_generate.logs.aws:V11",
    "aws_tgw": "ktrans_generate.logs.aws_tgw:TGW",
    "aws_cloudwatch_export": "ktrans_generate.logs.aws_cloudwatch:EXPORT",
    "aws_cloudwatch_envelope": "ktrans_generate.logs.aws_cloudwatch:ENVELOPE",
    "gcp_vpc": "ktrans_generate.logs.gcp:VPC",
    "gcp_firewall": "ktrans_generate.logs.gcp_firewall:FIREWALL",
    "azure_nsg_v1": "ktrans_generate.logs.azure:NSG_1",
    "azure_nsg_v2": "ktrans_generate.logs.azure:NSG_2",
    "azure_vnet": "ktrans_generate.logs.azure:VNET",
    "huawei_vpc": "ktrans_generate.logs.asia:HUAWEI",
    "tencent_vpc": "ktrans_generate.logs.asia:TENCENT",
    "oci_vcn": "ktrans_generate.logs.json_clouds:OCI_VCN",
    "ibm_vpc": "ktrans_generate.logs.json_clouds:IBM_VPC",
    "alibaba_vpc": "ktrans_generate.logs.json_clouds:ALIBABA_VPC",
    "aws_network_firewall": "ktrans_generate.logs.json_tools:AWS_NETWORK_FIREWALL",
    "hubble": "ktrans_generate.logs.json_tools:HUBBLE",
    "cloudflare_network_analytics": "ktrans_generate.logs.json_tools:CLOUDFLARE",
    "goflow2": "ktrans_generate.logs.json_tools:GOFLOW2",
    "ktranslate": "ktrans_generate.logs.json_tools:KTRANSLATE",
    "zeek_conn": "ktrans_generate.logs.zeek:CONN",
    "ocsf": "ktrans_generate.logs.ocsf:OCSF",
}
"""Every log by name, as `"module:attr"` of a `Log`, imported on first use."""


class Log(abc.ABC):
    """How a log writes flows.

    Attributes:
        ending: of its objects' names, before that of a compression.
        row_bytes: about how many bytes a row takes as text.
        block: how many consecutive rows come from one host.
    """

    ending: ClassVar[str] = ".log"
    row_bytes: int = 120
    block: int = 1

    def head(self) -> bytes:
        """Return the beginning of an object."""
        return b""

    def tail(self) -> bytes:
        """Return the end of an object."""
        return b""

    @property
    def in_parquet(self) -> bool:
        """Whether the cloud writes this log as Parquet files too."""
        return type(self).table is not Log.table

    @abc.abstractmethod
    def rows(self, flows: Flows, bad: np.ndarray, kinds: np.ndarray, first: int) -> pa.Array:
        """Write rows as binary texts, to be concatenated.

        Args:
            flows: the rows.
            bad: mask of the rows to make malformed.
            kinds: a random number for each row, to choose how.
            first: 0-based number of the first row within its object.
        """

    def table(self, flows: Flows) -> pa.Table | None:
        """Return rows as in the cloud's Parquet files; None if it writes none."""
        del flows
        return None


def log_named(name: str) -> Log:
    """Import a log of the table."""
    module, _, attribute = LOGS[name].partition(":")
    log: Log = getattr(importlib.import_module(module), attribute)
    return log
