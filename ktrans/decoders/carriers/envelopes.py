"""JSON objects that carry log records: envelopes of clouds, answers of their interfaces, log shippers.

Sources: Amazon CloudWatch Logs User Guide, "Real-time processing of log data with subscriptions"; AWS Lambda
Developer Guide, events of CloudWatch Logs, Kinesis and Firehose; Firehose Developer Guide, "HTTP endpoint
delivery request"; AWS CLI reference of `aws logs`; Google Cloud Pub/Sub, "Push subscriptions"; Oracle Cloud
Logging Search API, "SearchResponse"; Elasticsearch, "Search API"; Docker, "JSON File logging driver".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from ktrans.decoders.carriers.messages import NOWHERE, Message, Origin, is_plain, moment

TEXT_KEYS = ("message", "@message", "log", "logContent", "MESSAGE", "_raw", "event")
"""Members that hold a record as text, as log shippers write it; the first that is text counts."""

ENVELOPES = re.compile(
    rb'"logEvents"\s*:|"messageType"\s*:\s*"(?:DATA|CONTROL)_MESSAGE"|"awslogs"\s*:\s*\{'
    rb'|"kinesis"\s*:\s*\{|"[rR]ecords"\s*:\s*\[\s*\{[^{}\[\]]*"[dD]ata"\s*:\s*"'
    rb'|"message"\s*:\s*\{[^{}]*"data"\s*:\s*"|"_source"\s*:\s*\{'
)
"""Objects that hold records among other things, and are read whole."""

ARRAYS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb'"events"\s*:\s*\[\s*(?:\]|\{[^{}\[\]]*"(?:message|eventId)"\s*:)'), "events"),
    (re.compile(rb'"results"\s*:\s*\[\s*\[\s*\{\s*"(?:field|value)"'), "results"),
    (re.compile(rb'"results"\s*:\s*\[\s*\{\s*"data"\s*:\s*\{'), "results"),
)
"""Objects that hold an array of records, which may be long: read element by element."""

_TIMES = ("timestamp", "@timestamp", "time", "ts", "date", "datetime", "publishTime")
_IDS = ("id", "eventId", "@ptr", "messageId", "_id", "insertId")
_OWNERS = ("owner", "ownerAccountId", "accountId")
_GROUPS = ("logGroup", "logGroupName", "log_group", "@log")
_STREAMS = ("logStream", "logStreamName", "log_stream", "@logStream")

Kind = Literal["text", "packed", "record", "other", "control", "bad"]


class Part(NamedTuple):
    """A part of an object.

    Attributes:
        kind: what `value` is: a text; base64 of bytes, or a text; a JSON object; not a record; not
            readable.
        value: the part.
        origin: where it was logged.
        id: the carrier's name for it.
        micros: when it was logged.
    """

    kind: Kind
    value: Any
    origin: Origin = NOWHERE
    id: str | None = None
    micros: int | None = None

    def plain_message(self, outer: Origin) -> Message | None:
        """Return the message of a text that is surely a record on one line; None to look closer.

        Args:
            outer: where what carries the part was logged.
        """
        if self.kind != "text" or not is_plain(self.value):
            return None
        origin = self.origin if outer is NOWHERE else self.origin.within(outer)
        return Message(self.value.encode("utf-8", "replace"), origin, self.id, self.micros)


def open_envelope(
    value: Any, is_record: Callable[[Mapping[str, Any]], bool]
) -> Iterator[Part] | None:
    """Return the parts of a JSON value that carries records; None if it does not.

    Args:
        value: an object or, of the answer of a query, a list of fields.
        is_record: whether an object is a record of the log itself.
    """
    if isinstance(value, list):
        return _fields(value)
    if not isinstance(value, dict) or is_record(value):
        return None
    for opener in (_log_events, _packed, _search_hits, _oci_result):
        parts = opener(value)
        if parts is not None:
            return parts
    return _shipped(value)


def _log_events(value: dict[str, Any]) -> Iterator[Part] | None:
    """Open an envelope of CloudWatch Logs."""
    if value.get("messageType") == "CONTROL_MESSAGE":
        return iter([Part("control", 1)])
    events = value.get("logEvents")
    if not isinstance(events, list):
        return None
    origin = _origin(value)
    return (_event(event, origin) for event in events)


def _event(event: Any, origin: Origin) -> Part:
    text = event.get("message") if isinstance(event, dict) else None
    if not isinstance(text, str):
        return Part("bad", event, origin)
    return Part("text", text, origin, _text(event.get("id")), moment(event.get("timestamp")))


def _packed(value: dict[str, Any]) -> Iterator[Part] | None:
    """Open what wraps base64: Lambda, Kinesis, Firehose, Pub/Sub."""
    inner = value.get("awslogs")
    if isinstance(inner, dict) and isinstance(inner.get("data"), str):
        return iter([Part("packed", inner["data"])])
    if isinstance(value.get("data"), str):
        return iter([_data_part(value)])
    for name in ("records", "Records", "receivedMessages"):
        found = value.get(name)
        if isinstance(found, list) and found and all(map(_holds_data, found)):
            return map(_data_part, found)
    if _holds_data(value):
        return iter([_data_part(value)])
    return None


def _data_of(value: Any) -> dict[str, Any] | None:
    """Return the object whose `data` is base64, within the object of a record."""
    if not isinstance(value, dict):
        return None
    for inner in (value.get("kinesis"), value.get("message"), value):
        if isinstance(inner, dict) and isinstance(inner.get("data", inner.get("Data")), str):
            return inner
    return None


def _holds_data(value: Any) -> bool:
    return _data_of(value) is not None


def _data_part(value: dict[str, Any]) -> Part:
    inner = _data_of(value)
    assert inner is not None
    return Part("packed", inner.get("data", inner.get("Data")))


def _search_hits(value: dict[str, Any]) -> Iterator[Part] | None:
    """Open the answer of a search in Elasticsearch or OpenSearch, or one hit of it."""
    hits = value.get("hits")
    found = hits.get("hits") if isinstance(hits, dict) else [value]
    if not isinstance(found, list) or not all(
        isinstance(hit, dict) and isinstance(hit.get("_source"), dict) for hit in found
    ):
        return None
    return (Part("record", hit["_source"]) for hit in found)


def _oci_result(value: dict[str, Any]) -> Iterator[Part] | None:
    """Open one result of a search in OCI Logging."""
    data = value.get("data")
    if isinstance(data, dict) and isinstance(data.get("logContent"), dict):
        return iter([Part("record", data)])
    return None


def _shipped(value: dict[str, Any]) -> Iterator[Part] | None:
    """Open an object with a record as text, as log shippers and the AWS CLI write it."""
    text = next((value[key] for key in TEXT_KEYS if isinstance(value.get(key), str)), None)
    if text is None:
        return None
    return iter([Part("text", text, _origin(value), _first(value, _IDS), _time(value))])


def _fields(value: list[Any]) -> Iterator[Part] | None:
    """Open one result of a query in CloudWatch Logs Insights."""
    if not value or not all(isinstance(each, dict) and "field" in each for each in value):
        return None
    found = {str(each["field"]): each.get("value") for each in value}
    parts = _shipped(found)
    return iter([Part("bad", value)]) if parts is None else parts


def _origin(value: dict[str, Any]) -> Origin:
    """Return where an object says that it was logged."""
    owner, group = _first(value, _OWNERS), _first(value, _GROUPS)
    if group is not None and owner is None and (match := _OWNED_GROUP.match(group)):
        owner, group = match[1], match[2]
    return Origin(owner, group, _first(value, _STREAMS))


_OWNED_GROUP = re.compile(r"(\d{12}):(.+)")


def _first(value: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((value[name] for name in names if isinstance(value.get(name), str)), None)


def _time(value: dict[str, Any]) -> int | None:
    for name in _TIMES:
        if name in value and (micros := moment(value[name])) is not None:
            return micros
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def as_json(value: Any) -> bytes:
    """Return a value of JSON as text again."""
    return msgspec.json.encode(value)
