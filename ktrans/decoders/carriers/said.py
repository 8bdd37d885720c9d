"""Fills rows with what a carrier says about their records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.carriers.messages import NOWHERE, Message, Origin, to_json
from ktrans.flow.columns import coalesce_text
from ktrans.flow.maps import extended
from ktrans.flow.schema import TEXT, TIME

_ACCOUNT = re.compile(r"\d{12}")
_INTERFACE = re.compile(r"(?:eni|tgw-attach)-[0-9a-f]{8,17}")


@dataclass(frozen=True)
class Said:
    """What a carrier says about some messages, by columns."""

    messages: Sequence[Message]

    @cached_property
    def _nothing(self) -> bool:
        return all(
            each.origin == NOWHERE and each.id is None and each.micros is None
            for each in self.messages
        )

    @cached_property
    def _ids(self) -> pa.Array:
        return pa.array([each.id for each in self.messages], pa.string())

    @cached_property
    def _times(self) -> pa.Array:
        return pa.array([each.micros for each in self.messages], pa.int64()).view(TIME)

    @cached_property
    def _origins(self) -> pa.Array:
        """The place of each message's origin in `_distinct`."""
        if len(self._by_address) == 1:
            return pa.array(np.zeros(len(self.messages), np.int32))
        codes = {address: code for code, address in enumerate(self._by_address)}
        addresses = [id(each.origin) for each in self.messages]
        return pa.array(list(map(codes.__getitem__, addresses)), pa.int32())

    @cached_property
    def _by_address(self) -> dict[int, Origin]:
        """The origins by their address: the messages of an envelope share one."""
        return {id(each.origin): each.origin for each in self.messages}

    @cached_property
    def _distinct(self) -> list[Origin]:
        return list(self._by_address.values())

    def _of_origin(self, choose: Callable[[str | None], str | None], place: int) -> pa.Array:
        """Return a text of the origin of each message."""
        words = pa.array([choose(origin[place]) for origin in self._distinct], pa.string())
        coded = words.dictionary_encode()
        codes = coded.indices.take(self._origins).cast(pa.int32())
        return pa.DictionaryArray.from_arrays(codes, coded.dictionary)

    def fill(self, batch: pa.RecordBatch, index: np.ndarray) -> pa.RecordBatch:
        """Return rows with what the carrier says, where they do not have it themselves.

        Args:
            batch: the rows.
            index: the message of each row.
        """
        if self._nothing or not batch.num_rows:
            return batch
        whole = len(index) == len(self.messages) and bool((np.diff(index) == 1).all())

        def taken(column: pa.Array) -> pa.Array:
            return column if whole else column.take(pa.array(index))

        names = batch.schema.names
        columns = dict(zip(names, batch.columns, strict=True))
        added: dict[str, Callable[[], pa.Array]] = {
            "record_id": lambda: self._ids.dictionary_encode().cast(TEXT),
            "account_id": lambda: self._of_origin(_account, 0),
            "interface_id": lambda: self._of_origin(_interface, 2),
        }
        for name, column in added.items():
            if name in columns and columns[name].null_count:
                columns[name] = coalesce_text(columns[name], taken(column()))
        # A record without a start began when it was logged, as far as is known.
        for name in ("logged_at", "start_time"):
            if name in columns and columns[name].null_count:
                columns[name] = pc.coalesce(columns[name], taken(self._times))
        if "attrs" in columns:
            fields = [
                (name, taken(self._of_origin(_same, place)))
                for place, name in enumerate(("owner", "logGroup", "logStream"))
            ]
            columns["attrs"] = extended(columns["attrs"], fields)
        return pa.RecordBatch.from_arrays([columns[name] for name in names], schema=batch.schema)

    def texts(self, index: np.ndarray) -> pa.Array:
        """Return what is said about some messages in the form that rejects keep."""
        return pa.array([to_json(self.messages[place]) for place in index.tolist()], pa.string())


def _same(text: str | None) -> str | None:
    return text


def _account(text: str | None) -> str | None:
    return text if text is not None and _ACCOUNT.fullmatch(text) else None


def _interface(text: str | None) -> str | None:
    found = None if text is None else _INTERFACE.match(text)
    return None if found is None else found[0]
