"""Azure flow logs: objects as Azure writes them every hour (PT1H.json).

Shapes and codes: Azure Network Watcher, "Flow logging for network security groups" (versions 1 and
2) and "Virtual network flow logs" (version 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ktrans_generate.catalogue import Log
from ktrans_generate.columns import Coded, Column, Ints, join
from ktrans_generate.columns import replace as replace_texts
from ktrans_generate.flows import Flows
from ktrans_generate.logs.aws import View
from ktrans_generate.world import World

Bools = npt.NDArray[np.bool_]

_RECORD = 160
"""Tuples in a record, all of one interface."""

_REGIONS = ("WESTEUROPE", "EASTUS2", "SOUTHEASTASIA")
_RULES = (
    "DefaultRule_AllowVnetInBound",
    "UserRule_allow-web",
    "DefaultRule_AllowInternetOutBound",
    "DefaultRule_AllowVnetOutBound",
    "DefaultRule_DenyAllInBound",
    "unspecified",
)
_DENY, _UNSPECIFIED = 4, 5
_ENCRYPTIONS = ("NX", "X", "NX_HW_NOT_SUPPORTED", "NX_SW_NOT_READY", "NX_LOCAL_DST", "NX_FALLBACK")
_NOT_ACCEPTED = "NX_NOT_ACCEPTED"
_BEGIN, _CONTINUE, _END, _DENIED = 0, 1, 2, 3
_SYSTEM = "0fedc0de-1111-4222-8333-444455556666"

_CHANGES: tuple[dict[int, str], ...] = (
    {0: "noon"},
    {1: "10.0.0.300"},
    {2: "2001:db8::g"},
)
"""Invalid values, by the position of the field."""

_DAMAGES: tuple[Callable[[pa.Array], pa.Array], ...] = (
    lambda texts: pc.replace_substring_regex(texts, r",[^,]*,[^,]*$", ""),
    lambda texts: pc.binary_join_element_wise(texts, "one too many", ","),
)


@dataclass(frozen=True, slots=True)
class _Told:
    """Flows as Azure logs them, sorted by record, list and rule.

    Attributes:
        flows: the rows.
        rule, state: codes of _RULES, and of B, C, E and D.
        noise: any number a row.
        record: 0-based number of each row's record in this piece.
        order: where each row stood before.
    """

    flows: Flows
    rule: Ints
    state: Ints
    noise: Ints
    record: Ints
    order: Ints

    def pick(self, mask: Bools) -> _Told:
        """Keep some rows."""
        kept = (getattr(self, n)[mask] for n in ("rule", "state", "noise", "record", "order"))
        return _Told(self.flows.pick(mask), *kept)


def _tell(flows: Flows, kinds: Ints, *, encrypted: bool) -> _Told:
    """Make every third pair of rows the begin and end of one flow, and sort by rule."""
    rows = np.arange(len(flows))
    begins = (rows % 2 == 0) & (kinds % 3 == 0) & (rows < len(flows) - 1)
    ends = np.concatenate([[False], begins[:-1]]) if len(rows) else begins
    same = flows.pick(np.where(ends, rows - 1, rows))
    same = replace(same, start=flows.start, packets=flows.packets, octets=flows.octets)
    state = np.where(begins, _BEGIN, np.where(ends | (kinds % 2 == 0), _END, _CONTINUE))
    state = np.where(same.reject, _DENIED, state)
    rule = np.where(same.egress, np.where(same.internal, 3, 2), np.where(same.internal, 0, 1))
    rule = np.where(same.reject, _DENY, rule)
    if encrypted:
        rule = np.where(same.reject & (same.src_port % 8 == 0), _UNSPECIFIED, rule)
    record = rows // _RECORD
    order: Any = np.lexsort((rule, record))
    return _Told(same.pick(order), rule[order], state[order], kinds[order], record[order], order)


class AzureLog(Log):
    """The base of NSG and VNet flow logs.

    Args:
        version: of the log: 1 or 2 for NSGs, 4 for VNets.
        row_bytes: about how many bytes a row takes.
    """

    ending: ClassVar[str] = ".json"
    block = _RECORD

    def __init__(self, version: Literal[1, 2, 4], row_bytes: int) -> None:
        self.version = version
        self.row_bytes = row_bytes

    def head(self) -> bytes:
        """Open the list of records."""
        return b'{"records":['

    def tail(self) -> bytes:
        """Close it."""
        return b"]}"

    def rows(self, flows: Flows, bad: np.ndarray, kinds: np.ndarray, first: int) -> pa.Array:
        """Write tuples, each with the text of its record before and after it."""
        told = _tell(flows, kinds, encrypted=self.version == 4)  # noqa: PLR2004
        rows = len(flows)
        new_record = np.diff(told.record, prepend=-1) != 0
        new_group = new_record | (np.diff(told.rule, prepend=-1) != 0)
        starts = np.flatnonzero(new_group)
        openings = [",", *(self._opening(told, i, first) for i in starts.tolist())]
        before = Coded.of(openings, np.where(new_group, np.cumsum(new_group), 0)).array()
        last = np.append(new_record[1:], True) if rows else new_record
        closing = np.where(last, 2, np.where(np.append(new_group[1:], True)[:rows], 1, 0))
        behind = Coded.of(["", self._closing, f"{self._closing}]}}}}"], closing).array()
        texts = self._tuples(told, {})
        mistakes = np.where(bad[told.order], told.noise % (len(_CHANGES) + len(_DAMAGES)), -1)
        for number in np.unique(mistakes[mistakes >= 0]).tolist():
            mask = mistakes == number
            changes = _CHANGES[number] if number < len(_CHANGES) else {}
            broken = self._tuples(told.pick(mask), changes)
            if number >= len(_CHANGES):
                broken = _DAMAGES[number - len(_CHANGES)](broken)
            texts = replace_texts(texts, mask, broken)
        return pc.binary_join_element_wise(before, '"', texts, '"', behind, "").cast(pa.binary())

    _closing = "]}]}"

    def _opening(self, told: _Told, row: int, first: int) -> str:
        """Return the text before a group's first tuple."""
        host, rule = int(told.flows.host[row]), _RULES[int(told.rule[row])]
        group = self._group(told.flows.world, host, rule)
        if row and told.record[row] == told.record[row - 1]:
            return f",{group}"
        time = np.datetime64(int(told.flows.start[row]) + 70, "s")
        fraction = int(told.noise[row]) % 10_000_000
        comma = "," if first or row else ""
        return f'{comma}{{"time":"{time}.{fraction:07d}Z",{self._fields(told.flows.world, host)}{group}'

    def _fields(self, world: World, host: int) -> str:
        """Return a record's fields up to its list of flows."""
        account, mac = _subscription(world, host), _mac(host)
        if self.version == 4:  # noqa: PLR2004
            region = _REGIONS[host % len(_REGIONS)]
            return (
                f'"flowLogVersion":4,"flowLogGUID":"{account}","macAddress":"{mac}",'
                '"category":"FlowLogFlowEvent","flowLogResourceID":'
                f'"/SUBSCRIPTIONS/{account.upper()}/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS'
                f'/MICROSOFT.NETWORK/NETWORKWATCHERS/NETWORKWATCHER_{region}/FLOWLOGS/SHOP",'
                f'"targetResourceID":"/subscriptions/{account}/resourceGroups/shop/providers'
                f'/Microsoft.Network/virtualNetworks/shop-{region.lower()}",'
                '"operationName":"FlowLogFlowEvent","flowRecords":{"flows":['
            )
        return (
            f'"systemId":"{_SYSTEM}","macAddress":"{mac}","category":"NetworkSecurityGroupFlowEvent",'
            f'"resourceId":"/SUBSCRIPTIONS/{account.upper()}/RESOURCEGROUPS/SHOP/PROVIDERS'
            f'/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG-{host % 7}",'
            '"operationName":"NetworkSecurityGroupFlowEvents",'
            f'"properties":{{"Version":{self.version},"flows":['
        )

    def _group(self, world: World, host: int, rule: str) -> str:
        if self.version != 4:  # noqa: PLR2004
            return f'{{"rule":"{rule}","flows":[{{"mac":"{_mac(host)}","flowTuples":['
        account = _subscription(world, host)
        acl = (
            f"/subscriptions/{account}/resourceGroups/shop/providers/Microsoft.Network"
            f"/networkSecurityGroups/nsg-{host % 7}"
        )
        acl = rule if rule == "unspecified" else acl
        return f'{{"aclID":"{acl}","flowGroups":[{{"rule":"{rule}","flowTuples":['

    def _tuples(self, told: _Told, changes: dict[int, str]) -> pa.Array:
        """Write tuples; `changes` are invalid values by position."""
        flows, noise = told.flows, told.noise
        view = View(flows)
        vnet = self.version == 4  # noqa: PLR2004
        icmp = (flows.src_port == 0) & ~np.full(len(flows), vnet)
        columns: list[Column] = [
            flows.start * 1000 + noise % 1000 if vnet else flows.start,
            view.address(source=True),
            view.address(source=False),
            np.where(icmp, 50_000, flows.src_port),
            np.where(icmp, 443, flows.dst_port),
            flows.protocol if vnet else Coded.of(["T", "U"], flows.protocol == 17),  # noqa: PLR2004
            Coded.of(["I", "O"], flows.egress),
        ]
        if vnet:
            coded = np.where(noise % 4, 0, flows.peer % len(_ENCRYPTIONS))
            coded = np.where(told.rule == _UNSPECIFIED, len(_ENCRYPTIONS), coded)
            columns.append(Coded.of(["B", "C", "E", "D"], told.state))
            columns.append(Coded.of([*_ENCRYPTIONS, _NOT_ACCEPTED], coded))
        else:
            columns.append(Coded.of(["A", "D"], flows.reject))
        if self.version == 2:  # noqa: PLR2004
            columns.append(Coded.of(["B", "C", "E", "B"], told.state))
        for place, text in changes.items():
            columns[place] = text
        if self.version == 1:
            return join(columns, len(flows), ",")
        received = flows.packets // 2 + noise % 3
        counters = join(
            [flows.packets, flows.octets, received, received * (40 + noise % 1400)], len(flows), ","
        )
        idle = np.isin(told.state, (_BEGIN, _DENIED))
        nothing = "0,0,0,0" if vnet else ",,,"
        counters = pc.if_else(pa.array(idle), pa.scalar(nothing, pa.string()), counters)
        return pc.binary_join_element_wise(join(columns, len(flows), ","), counters, ",")


def _subscription(world: World, host: int) -> str:
    number = world.account_names.index(world.accounts[host].as_py())
    return f"{number + 0x5A:08x}-0000-4000-8000-{number * 7 + 1:012x}"


def _mac(host: int) -> str:
    return f"{0x002248000000 + host * 257:012X}"


NSG_1 = AzureLog(1, 90)
NSG_2 = AzureLog(2, 110)
VNET = AzureLog(4, 115)
