"""Flow logs of Huawei Cloud and Tencent Cloud: AWS's version 2 but for ids, without a header line.

Sources: Huawei Cloud, "VPC Flow Log"; Tencent Cloud, "Flow log records".
"""

from __future__ import annotations

from collections.abc import Sequence

from ktrans_generate.columns import Coded
from ktrans_generate.logs.aws import V2, Field, SpacedLog, View

_SPREAD = 2_654_435_761


def _project(view: View) -> Coded:
    accounts = view.world.accounts
    return view.by_host([f"{int(str(account)) * _SPREAD:032x}" for account in accounts])


def _uuid(index: int) -> str:
    digits = f"{(index + 1) * _SPREAD % (1 << 64):032x}"
    return f"{digits[-8:]}-{digits[:4]}-4{digits[4:7]}-8{digits[7:10]}-{digits[-12:]}"


def _tencent_id(index: int) -> str:
    return f"eni-{(index + 1) * _SPREAD % (1 << 32):08x}"


class BareLog(SpacedLog):
    """Records without a header line."""

    def __init__(self, version: int, fields: Sequence[Field]) -> None:
        super().__init__(version, fields, row_bytes=140)

    def head(self) -> bytes:
        """Return nothing."""
        return b""


_REST = V2.fields[3:]
HUAWEI = BareLog(
    1,
    (
        Field("project-id", _project, always=True),
        Field(
            "interface-id",
            lambda v: v.by_host([_uuid(i) for i in range(v.world.hosts)]),
            always=True,
        ),
        *_REST,
    ),
)
TENCENT = BareLog(
    1,
    (
        Field(
            "account-id",
            lambda v: v.by_host([f"1{str(account)[:9]}" for account in v.world.accounts]),
            always=True,
        ),
        Field(
            "interface-id",
            lambda v: v.by_host([_tencent_id(i) for i in range(v.world.hosts)]),
            always=True,
        ),
        *_REST,
    ),
)
