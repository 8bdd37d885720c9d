"""The `cidr` enricher: looks addresses up in a table of prefixes; the longest one wins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import ComponentConfig, Context
from ktrans.enrichers.paths.prefix_table import PrefixTable, load_prefix_table
from ktrans.expressions.prefixes import PrefixIndex, parse_addresses
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import (
    MISSING,
    coded,
    column_exists,
    distinct,
    option,
    require_text,
    side_of,
    spread,
    text_field,
)


class CidrEnricherConfig(ComponentConfig, type="cidr"):
    """Adds what a table of prefixes knows about each address.

    The table is CSV with a header, JSON or YAML (a list of rows, or a mapping of prefix to row).
    Where prefixes overlap, the longest one wins; an address in none of them gives null.
    """

    table: str = Field(
        min_length=1,
        description="The table: a .csv, .json, .yaml or .yml file, read when the run starts.",
        examples=["networks.csv"],
    )
    prefix_column: str = Field(
        "prefix",
        description="The table's column with the prefix, such as 10.1.0.0/16 or 2001:db8::/32.",
        examples=["cidr"],
    )
    columns: list[str] | None = Field(
        None,
        min_length=1,
        description="The table's columns to add; all by default.",
        examples=[["name", "site"]],
    )
    addresses: list[str] = Field(
        default=["src_addr", "dst_addr"],
        min_length=1,
        description="The address columns to look up.",
        examples=[["src_pkt_addr", "dst_pkt_addr"]],
    )
    naming: str = Field(
        "{side}_{column}",
        description=(
            "How to name a new column: {side} is the address column without `_addr`, "
            "{column} the table's column."
        ),
        examples=["{side}_net_{column}"],
    )

    @field_validator("naming")
    @classmethod
    def _tells_apart(cls, value: str) -> str:
        rest = value.replace("{side}", "").replace("{column}", "")
        if "{" in rest or "}" in rest:
            raise ValueError("the placeholders are {side} and {column}")
        return value


class CidrEnricher(ColumnEnricher[CidrEnricherConfig]):
    """Looks addresses up in a prefix table."""

    replaces = ()
    names_option = "naming"

    def __init__(self, config: CidrEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._index: PrefixIndex
        self._cells: dict[str, tuple[pa.Array, np.ndarray]] = {}

    def reads(self) -> Sequence[str]:
        """Name the address columns."""
        return self.config.addresses

    def columns(self) -> dict[str, pa.Field]:
        """Name the new columns; reads the table if the config does not list its columns."""
        columns = self.config.columns or self._table.columns
        named = {self._name(a, c): (a, c) for a in self.config.addresses for c in columns}
        return {
            name: text_field(name, f"{column} of {address}, from a prefix table")
            for name, (address, column) in named.items()
        }

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Read the table and add its columns."""
        with option("addresses"):
            require_text(schema, self.config.addresses, "cidr")
        names = [self._name(a, c) for a in self.config.addresses for c in self._table.columns]
        with option("naming"):
            for twin in (name for name in names if names.count(name) > 1):
                raise column_exists(twin, "cidr")
        self._index = PrefixIndex(self._table.prefixes)
        for name, column in self._table.columns.items():
            encoded = column.dictionary_encode()
            # The last code is for addresses in no prefix, whose position is -1.
            codes = np.append(np.asarray(encoded.indices.fill_null(MISSING)), MISSING)
            self._cells[name] = (encoded.dictionary, codes)
        return super().bind(schema)

    def compute(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Look the distinct addresses up, and return each row's cells."""
        new: dict[str, pa.Array] = {}
        for address in self.config.addresses:
            values, indices = distinct(batch.column(address))
            rows = self._index.lookup(parse_addresses(values))
            for name, (texts, codes) in self._cells.items():
                new[self._name(address, name)] = coded(spread(codes[rows], indices), texts)
        return new

    def _name(self, address: str, column: str) -> str:
        side = side_of(address)
        return self.config.naming.replace("{side}", side).replace("{column}", column)

    @cached_property
    def _table(self) -> PrefixTable:
        with option("table"):
            return load_prefix_table(
                self.context.path(self.config.table), self.config.prefix_column, self.config.columns
            )
