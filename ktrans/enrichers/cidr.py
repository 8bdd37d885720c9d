"""The `cidr` enricher: looks addresses up in a table of prefixes; the longest one wins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from ktrans.api import ComponentConfig, Context, Enricher
from ktrans.enrichers.tables.prefixes import PrefixTable, distinct_cells, load_prefix_table
from ktrans.expressions.prefixes import PrefixIndex, parse_addresses
from ktrans.kit.columns import (
    MISSING,
    add_fields,
    coded,
    distinct,
    option,
    rebuild,
    require_text,
    side_of,
    spread,
    text_field,
)


class CidrEnricherConfig(ComponentConfig):
    """Adds what a table of prefixes knows about each address.

    The table is CSV with a header, JSON or YAML (a list of rows, or a mapping of prefix to row).
    Where prefixes overlap, the longest one wins; an address in none of them gives null.
    """

    type: Literal["cidr"] = Field("cidr", description="Which component this is.", examples=["cidr"])
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


class CidrEnricher(Enricher[CidrEnricherConfig]):
    """Looks addresses up in a prefix table."""

    def __init__(self, config: CidrEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._loaded: PrefixTable | None = None
        self._index: PrefixIndex
        self._cells: dict[str, tuple[pa.Array, np.ndarray]] = {}
        self._schema: pa.Schema

    def needs(self) -> Sequence[str]:
        """Name the address columns."""
        return self.config.addresses

    def adds(self) -> Sequence[str]:
        """Name the new columns; reads the table if the config does not list its columns."""
        columns = self.config.columns or list(self._table().columns)
        return [self._name(a, column) for a in self.config.addresses for column in columns]

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Read the table and add its columns.

        Raises:
            ConfigError: an address column is missing or not text, the table is unreadable or has a
                bad row, or a new column would have the name of an old one.
        """
        with option("addresses"):
            require_text(schema, self.config.addresses, "cidr")
        table = self._table()
        fields = [
            text_field(self._name(address, column), f"{column} of {address}, from a prefix table")
            for address in self.config.addresses
            for column in table.columns
        ]
        with option("naming"):
            self._schema = add_fields(schema, fields, "cidr")
        self._index = PrefixIndex(table.prefixes)
        for name, column in table.columns.items():
            values, codes = distinct_cells(column)
            # One more at the end, where an address in no prefix (position -1) finds its null.
            self._cells[name] = (values, np.append(np.asarray(codes, np.int32), MISSING))
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Look the distinct addresses up, then give each row its cells."""
        new: dict[str, pa.Array] = {}
        for address in self.config.addresses:
            values, indices = distinct(batch.column(address))
            rows = self._index.lookup(parse_addresses(values))
            for name, (texts, codes) in self._cells.items():
                new[self._name(address, name)] = coded(spread(codes[rows], indices), texts)
        return rebuild(batch, self._schema, new)

    def _name(self, address: str, column: str) -> str:
        side = side_of(address)
        return self.config.naming.replace("{side}", side).replace("{column}", column)

    def _table(self) -> PrefixTable:
        if self._loaded is None:
            with option("table"):
                self._loaded = load_prefix_table(
                    self.context.path(self.config.table),
                    self.config.prefix_column,
                    self.config.columns,
                )
        return self._loaded
