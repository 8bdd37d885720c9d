"""The `to_ocsf` enricher: flow rows as OCSF Network Activity (class 4001) records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from ktrans.api import Context
from ktrans.enrichers.reshape.base import ReshapeConfig, ReshapeEnricher, Rule
from ktrans.enrichers.reshape.batch_view import View, only_where
from ktrans.enrichers.reshape.rules import as_texts, copy, text_lists
from ktrans.flow.columns import coalesce_text, nulls
from ktrans.flow.maps import extended, map_value
from ktrans.flow.schema import ATTRS
from ktrans.flow.target_schemas.attribute import TEXTS, Attribute
from ktrans.flow.target_schemas.ocsf import OCSF, OCSF_BOUNDARIES, OCSF_LEFTOVERS, OCSF_PLACES

_OPEN, _CLOSE, _REFUSE, _TRAFFIC = 1, 2, 5, 6
_ACTIVITIES = {_OPEN: "Open", _CLOSE: "Close", _REFUSE: "Refuse", _TRAFFIC: "Traffic"}
_TIMES = ("start_time", "end_time", "logged_at")
_TYPE_BASE = 400_100
_REFUSED = {"reject": _REFUSE, "drop": _REFUSE}
_STATES = {"begin": _OPEN, "end": _CLOSE, "deny": _REFUSE}
_SIDES = {"src": 1, "dst": 2}
_TRAFFIC_PATHS = {str(path): path + 3 for path in range(1, 9)}
"""AWS VPC User Guide, `traffic-path`: 1 to 8, which OCSF's boundary_id has as 4 to 11."""


class ToOcsfEnricherConfig(ReshapeConfig, type="to_ocsf"):
    """Turns flow rows into records of OCSF's Network Activity class (4001).

    The record holds all that the schema requires, and what the log reports of the rest. Rows
    without any address are no network activity, and rows without any time (start_time, else
    end_time, else logged_at) cannot be events: both are filtered.

    traffic.bytes_out is from source to destination, bytes_in the way back, and traffic.bytes their
    sum: it is left out where the log counts one direction only, since it would claim too much
    (`one_way_totals` writes it nevertheless). An endpoint's ip is the packet's own address, with
    the interface's in intermediate_ips where that differs; vpc_uid, subnet_uid, interface_uid and
    instance_uid are those of the endpoint that the log was taken at.

    For Amazon Security Lake's custom sources, keep `region` and `account_id`, take the `datetime`
    profile, and write Parquet to
    `ext/{source}/region={region}/accountId={account_id}/eventDay={time_dt:%Y%m%d}/`.
    """

    version: Literal["1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0", "1.6.0", "1.9.0"] = Field(
        "1.6.0",
        description="Version of the OCSF schema; attributes that it does not have are left out.",
        examples=["1.1.0", "1.6.0"],
    )
    profiles: list[Literal["cloud", "security_control", "datetime"]] = Field(
        ["cloud", "security_control"],
        description=(
            "Profiles to apply: `cloud` adds the account and region, `security_control` the "
            "verdict, `datetime` times as timestamps beside those in milliseconds."
        ),
        examples=[["cloud", "security_control", "datetime"]],
    )
    unmapped: bool = Field(
        True,
        description="Whether fields without an attribute of their own go into `unmapped`.",
        examples=[False],
    )
    one_way_totals: bool = Field(
        False,
        description=(
            "Whether traffic.bytes and packets are also written for logs that count one direction "
            "only, as Security Lake does for AWS VPC flow logs."
        ),
        examples=[True],
    )


def _activity(view: View, attribute: Attribute) -> pa.Array:
    by_state = view.codes("flow_state", _STATES, _TRAFFIC)
    by_action = view.codes("action", _REFUSED, 0)
    numbers = np.where(by_action > 0, by_action, by_state)
    if attribute.value == "id":
        return pa.array(numbers.astype(np.int32))
    if attribute.value == "type":
        return pa.array(numbers.astype(np.int64) + _TYPE_BASE)
    names = list(_ACTIVITIES.values())
    if attribute.value == "type_name":
        names = [f"Network Activity: {name}" for name in names]
    return _captions(numbers, list(_ACTIVITIES), names)


def _captions(numbers: np.ndarray, known: list[int], names: list[str]) -> pa.DictionaryArray:
    table = np.zeros(max(known) + 1, np.int32)
    table[known] = np.arange(len(known))
    return pa.DictionaryArray.from_arrays(pa.array(table[numbers]), pa.array(names, pa.string()))


def _intermediate(view: View, attribute: Attribute) -> pa.Array:
    between = view.differing(*attribute.columns)
    if between.null_count == view.rows:
        return nulls(view.rows, TEXTS)
    codes = np.asarray(between.indices.fill_null(-1))[:, None]
    return text_lists(codes, codes >= 0, between.dictionary)


def _placed(view: View, attribute: Attribute) -> pa.Array:
    at_capture = only_where(view.text(attribute.columns[0]), view.side == _SIDES[attribute.value])
    named = f"{attribute.value}_vpc"
    if named in attribute.columns:
        return coalesce_text(view.text(named), at_capture)
    return at_capture


def _integer_or_zero(view: View, attribute: Attribute) -> pa.Array:
    return copy(view, attribute).fill_null(0)


def _boundary(view: View, attribute: Attribute) -> pa.Array:
    rows, texts = map_value(view.column("attrs", ATTRS), "traffic-path")
    if not len(rows):
        return nulls(view.rows, attribute.kind)
    coded = texts.dictionary_encode()
    known = [_TRAFFIC_PATHS.get(text, 99) for text in coded.dictionary.to_pylist()]
    numbers = np.zeros(view.rows, np.int32)
    numbers[rows] = np.array(known, np.int32)[np.asarray(coded.indices.fill_null(0))]
    numbers *= view.codes("provider", {"aws": 1}, 0)
    there = numbers > 0
    if attribute.value == "id":
        return only_where(pa.array(numbers), there)
    first = min(OCSF_BOUNDARIES)
    shown = _captions(
        np.where(there, numbers, first), list(OCSF_BOUNDARIES), list(OCSF_BOUNDARIES.values())
    )
    return only_where(shown, there)


def _one_way_total(view: View, attribute: Attribute) -> pa.Array:
    there, back = (view.column(name, pa.int64()) for name in attribute.columns)
    return there if back.null_count == view.rows else _coalesced_sum(there, back)


def _coalesced_sum(there: pa.Array, back: pa.Array) -> pa.Array:
    known = np.asarray(there.is_valid()) | np.asarray(back.is_valid())
    added = np.asarray(there.fill_null(0)) + np.asarray(back.fill_null(0))
    return only_where(pa.array(added), known)


def _leftovers(view: View, attribute: Attribute) -> pa.Array:
    del attribute
    nowhere = view.side == 0
    places = [(name, only_where(view.text(name), nowhere)) for name in OCSF_PLACES]
    fields = [*as_texts(view, OCSF_LEFTOVERS), *places]
    return extended(view.column("attrs", ATTRS), fields)


class ToOcsfEnricher(ReshapeEnricher[ToOcsfEnricherConfig]):
    """Makes OCSF Network Activity records."""

    target = "ocsf"
    table = OCSF
    required = (*ReshapeEnricher.required, _TIMES)  # OCSF requires a time of an event
    own_rules: Mapping[str, Rule] = {
        "activity": _activity,
        "intermediate": _intermediate,
        "placed": _placed,
        "integer_or_zero": _integer_or_zero,
        "boundary": _boundary,
        "leftovers": _leftovers,
    }
    identities: ClassVar[Mapping[str, Sequence[str]]] = {
        # OCSF, object network_endpoint: at least one of these (and of others that flows lack).
        f"{side}_endpoint": ("ip", "svc_name", "interface_uid", "instance_uid", "name", "hostname")
        for side in ("src", "dst")
    }

    def __init__(self, config: ToOcsfEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        if config.one_way_totals:
            self.own_rules = {**self.own_rules, "total": _one_way_total}

    def parts(self) -> Sequence[str]:
        """Return the profiles, and `unmapped`."""
        return [*self.config.profiles, *(["unmapped"] if self.config.unmapped else [])]

    def attributes(self) -> Sequence[Attribute]:
        """Return the attributes of the version and the profiles."""
        major, minor, _ = (int(number) for number in self.config.version.split("."))
        return [each for each in super().attributes() if each.since <= (major, minor)]
