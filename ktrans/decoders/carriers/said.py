"""Fills rows with what a carrier says about their records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ktrans.decoders.carriers.messages import NOWHERE, Message, Origin, Run, to_json
from ktrans.flow.columns import coalesce_text, constant_text
from ktrans.flow.maps import constant_attrs, extended
from ktrans.flow.schema import TEXT, TIME

_ACCOUNT = re.compile(r"\d{12}")
_INTERFACE = re.compile(r"(?:eni|tgw-attach)-[0-9a-f]{8,17}")

_ATTRS = ("owner", "logGroup", "logStream")


@dataclass(frozen=True)
class Said:
    """What a carrier says about some messages, by columns.

    Attributes:
        ids: their names.
        micros: when they were logged, in microseconds.
        origins: where they were logged, each once.
        origin_of: the place of each message's origin in `origins`.
    """

    ids: pa.Array
    micros: pa.Array
    origins: Sequence[Origin]
    origin_of: np.ndarray

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Said:
        """Return what is said about messages; those of an envelope share their origin."""
        by_address = {id(each.origin): each.origin for each in messages}
        if len(by_address) == 1:
            origin_of = np.zeros(len(messages), np.int32)
        else:
            codes = {address: code for code, address in enumerate(by_address)}
            addresses = [id(each.origin) for each in messages]
            origin_of = np.array(list(map(codes.__getitem__, addresses)), np.int32)
        ids = pa.array([each.id for each in messages], pa.string())
        times = pa.array([each.micros for each in messages], pa.int64())
        return cls(ids, times, list(by_address.values()), origin_of)

    @classmethod
    def of_runs(cls, runs: Sequence[Run]) -> Said:
        """Return what is said about the records of runs."""
        codes: dict[Origin, int] = {}
        of_run = [codes.setdefault(run.origin, len(codes)) for run in runs]
        origin_of = np.repeat(np.array(of_run, np.int32), [len(run.ids) for run in runs])
        ids = pa.array(list(chain.from_iterable([run.ids for run in runs])), pa.string())
        millis = list(chain.from_iterable([run.millis for run in runs]))
        return cls(ids, pa.array(np.array(millis, np.int64) * 1000), list(codes), origin_of)

    @cached_property
    def _nothing(self) -> bool:
        return (
            all(origin == NOWHERE for origin in self.origins)
            and self.ids.null_count == len(self.ids)
            and self.micros.null_count == len(self.micros)
        )

    def _of_origin(self, choose: Callable[[str | None], str | None], place: int) -> pa.Array:
        """Return a text of the origin of each message."""
        if len(self.origins) == 1:
            return constant_text(choose(self.origins[0][place]), len(self.origin_of))
        words = pa.array([choose(origin[place]) for origin in self.origins], pa.string())
        coded = words.dictionary_encode()
        codes = coded.indices.take(pa.array(self.origin_of)).cast(pa.int32())
        return pa.DictionaryArray.from_arrays(codes, coded.dictionary)

    def fill(self, batch: pa.RecordBatch, index: np.ndarray) -> pa.RecordBatch:
        """Return rows with what the carrier says, where they do not have it themselves.

        Args:
            batch: the rows.
            index: the message of each row.
        """
        if self._nothing or not batch.num_rows:
            return batch
        whole = len(index) == len(self.ids) and bool((np.diff(index) == 1).all())

        def taken(column: pa.Array) -> pa.Array:
            return column if whole else column.take(pa.array(index))

        names = batch.schema.names
        columns = dict(zip(names, batch.columns, strict=True))
        added: dict[str, Callable[[], pa.Array]] = {
            "record_id": lambda: self.ids.dictionary_encode().cast(TEXT),
            "account_id": lambda: self._of_origin(_account, 0),
            "interface_id": lambda: self._of_origin(_interface, 2),
        }
        for name, column in added.items():
            if name in columns and columns[name].null_count:
                columns[name] = coalesce_text(columns[name], taken(column()))
        # A record without a start began when it was logged, as far as is known.
        for name in ("logged_at", "start_time"):
            if name in columns and columns[name].null_count:
                times = taken(self.micros.view(TIME))
                no_own = columns[name].null_count == batch.num_rows
                columns[name] = times if no_own else pc.coalesce(columns[name], times)
        if "attrs" in columns:
            columns["attrs"] = self._with_origins(columns["attrs"], taken)
        return pa.RecordBatch.from_arrays([columns[name] for name in names], schema=batch.schema)

    def _with_origins(self, maps: pa.Array, taken: Callable[[pa.Array], pa.Array]) -> pa.Array:
        """Return `attrs` with the origin of each row."""
        if len(self.origins) == 1 and maps.null_count == len(maps):
            named = zip(_ATTRS, self.origins[0], strict=False)
            return constant_attrs(
                {name: text for name, text in named if text is not None}, len(maps)
            )
        fields = [(name, taken(self._of_origin(_same, place))) for place, name in enumerate(_ATTRS)]
        return extended(maps, fields)

    def texts(self, index: np.ndarray) -> pa.Array:
        """Return what is said about some messages in the form that rejects keep."""
        origins = [self.origins[code] for code in self.origin_of[index].tolist()]
        ids, micros = (each.take(pa.array(index)).to_pylist() for each in (self.ids, self.micros))
        return pa.array(list(map(to_json, origins, ids, micros)), pa.string())


def _same(text: str | None) -> str | None:
    return text


def _account(text: str | None) -> str | None:
    return text if text is not None and _ACCOUNT.fullmatch(text) else None


def _interface(text: str | None) -> str | None:
    found = None if text is None else _INTERFACE.match(text)
    return None if found is None else found[0]
