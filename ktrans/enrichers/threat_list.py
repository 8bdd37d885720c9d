"""The `threat_list` enricher: which addresses and domains are on published lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import ComponentConfig
from ktrans.enrichers.threats.entries import ALWAYS, UNREADABLE, Published
from ktrans.enrichers.threats.lists import NEVER, Lists, Matches
from ktrans.enrichers.threats.options import ThreatList
from ktrans.enrichers.threats.read import read_list
from ktrans.kit import log_events
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import (
    coded,
    column_exists,
    distinct,
    option,
    require_text,
    side_of,
    spread,
    text_field,
)

_TIME = pa.timestamp("us", tz="UTC")
_START = "start_time"


class ThreatListEnricherConfig(ComponentConfig, type="threat_list"):
    """Adds the lists that addresses and domains are on, what the lists say, and their date.

    A row is on a list if an entry holds its address: the address itself or a network around it. A
    domain is on a list with itself or a domain above it. Entries with a validity (STIX, OTX) count for
    rows that start within it.
    """

    lists: list[ThreatList] = Field(
        min_length=1,
        description="The lists, each a file; read when the run starts, and again after a reload.",
        examples=[[{"name": "drop", "file": "drop_v4.json", "label": "sblid"}]],
    )
    addresses: list[str] = Field(
        default=["src_addr", "dst_addr"],
        description="Address columns to look up.",
        examples=[["src_pkt_addr", "dst_pkt_addr"]],
    )
    domains: list[str] = Field(
        default=[],
        description="Columns of host names to look up.",
        examples=[["dst_dns"]],
    )
    naming: str = Field(
        "{side}_{column}",
        description="How to name a new column: {side} is the column that is looked up, without "
        "`_addr`; {column} is `threat` (the names of the lists) or `threat_label`.",
        examples=["{side}_seen_{column}"],
    )
    labels: bool = Field(
        True, description="Add what the lists say about the entries.", examples=[False]
    )
    as_of_column: str | None = Field(
        "threat_list_as_of",
        min_length=1,
        description="Column for the date of the list that the row is on, the oldest of several; or "
        "null to leave it out. It is the date in the list, or else when its file was written.",
        examples=["threats_as_of"],
    )

    @field_validator("lists")
    @classmethod
    def _named_apart(cls, value: list[ThreatList]) -> list[ThreatList]:
        names = [one.name for one in value]
        if twins := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two lists have the name {min(twins)!r}")
        return value

    @field_validator("naming")
    @classmethod
    def _tells_apart(cls, value: str) -> str:
        if "{side}" not in value or "{column}" not in value:
            raise ValueError("naming has both {side} and {column}")
        return value


class ThreatListEnricher(ColumnEnricher[ThreatListEnricherConfig]):
    """Looks the distinct values of each column up in all lists."""

    replaces = ()
    names_option = "naming"

    def reads(self) -> Sequence[str]:
        """Return the columns to look up, and the time if entries count for a time only."""
        return [*self._keys(), *([_START] if self._lists.dated else [])]

    def columns(self) -> Mapping[str, pa.Field]:
        """Return the new columns."""
        fields: dict[str, pa.Field] = {}
        for key in self._keys():
            what = {"threat": "names of the lists that it is on, with commas between"}
            if self.config.labels:
                what["threat_label"] = "what these lists say about it"
            for column, said in what.items():
                name = self._name(key, column)
                fields[name] = text_field(name, f"{key}: {said}")
        if self.config.as_of_column:
            metadata = {"description": "Date of the oldest list that an end of the row is on"}
            fields[self.config.as_of_column] = pa.field(
                self.config.as_of_column, _TIME, metadata=metadata
            )
        return fields

    def check(self) -> None:
        """Read the lists."""
        self._lists  # noqa: B018 - reading raises

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Read the lists and add the columns.

        Raises:
            ConfigError: a list cannot be read; a column is missing, not text, or exists already.
        """
        for name in ("addresses", "domains"):
            with option(name):
                require_text(schema, getattr(self.config, name), self.config.type)
        wanted = len(self._keys()) * (1 + self.config.labels) + bool(self.config.as_of_column)
        if len(self.columns()) < wanted:
            with option("naming"):
                raise column_exists(next(iter(self.columns())), self.config.type)
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> Mapping[str, pa.Array]:
        """Look the distinct values up; by row only if entries that match count for a time only."""
        new: dict[str, pa.Array] = {}
        oldest = np.full(batch.num_rows, NEVER, np.int64)
        times = self._times(batch) if self._lists.dated else None
        for key in self._keys():
            found = self._find(batch.column(key), times, domains=key in self.config.domains)
            texts = {"threat": found.names}
            if self.config.labels:
                texts["threat_label"] = found.labels
            for column, values in texts.items():
                new[self._name(key, column)] = _texts(found.codes, values)
            hit = found.codes >= 0
            oldest[hit] = np.minimum(oldest[hit], found.dates[found.codes[hit]])
        if self.config.as_of_column:
            listed = oldest < NEVER
            dates = pa.array(np.where(listed, oldest, 0), mask=~listed)
            new[self.config.as_of_column] = dates.cast(_TIME)
        return new

    def _find(self, column: pa.Array, times: np.ndarray | None, *, domains: bool) -> Matches:
        lists = self._lists
        values, indices = distinct(column)
        hits = (lists.domains if domains else lists.addresses).find(values)
        if times is not None:
            return lists.of_rows(hits, indices, times)
        found = lists.of_values(hits, len(values))
        found.codes = spread(found.codes, indices)
        return found

    def _times(self, batch: pa.RecordBatch) -> np.ndarray:
        times = batch.column(_START).cast(_TIME).cast(pa.int64())
        return np.asarray(times.fill_null(ALWAYS).to_numpy())

    def _keys(self) -> list[str]:
        return [*self.config.addresses, *self.config.domains]

    def _name(self, key: str, column: str) -> str:
        return self.config.naming.replace("{side}", side_of(key)).replace("{column}", column)

    @cached_property
    def _lists(self) -> Lists:
        lists = Lists()
        for at, one in enumerate(self.config.lists):
            with option(f"lists.{at}.file"):
                found = read_list(self.context.path(one.file), one)
            assert found.as_of is not None
            lists.add(one.name, found.entries, found.as_of, one.category)
            self._report(one, found)
        lists.finish()
        return lists

    def _report(self, one: ThreatList, found: Published) -> None:
        skipped = ", ".join(f"{count} {why}" for why, count in found.skipped.items())
        self.context.log.info(
            "threat_list: %d entries of %s as of %s%s",
            len(found.entries),
            one.name,
            found.as_of,
            f"; not used: {skipped}" if skipped else "",
            extra={"event": log_events.TABLE_LOADED},
        )
        if unreadable := found.skipped.get(UNREADABLE):
            self.context.log.warning(
                "threat_list: %d entries of %s are neither addresses nor domains",
                unreadable,
                one.name,
                extra={"event": log_events.ENTRIES_UNREADABLE, "entries": unreadable},
            )


def _texts(codes: np.ndarray, texts: pa.Array) -> pa.Array:
    encoded = texts.dictionary_encode()
    mapped = np.append(np.asarray(encoded.indices.fill_null(-1)), np.int32(-1)).astype(np.int32)
    return coded(mapped[codes], encoded.dictionary)
