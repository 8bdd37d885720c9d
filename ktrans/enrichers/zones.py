"""The `zones` enricher: where both ends of a flow are, the kind of path between them, its price.

Clouds charge for traffic by the path it takes: between zones, between regions, to the internet.
The place of each end is looked for in these origins, in this order:

1. the record, for the end at which it was captured (`reporter`, else `direction`): `provider`,
   `region`, `zone`, `vpc_id`;
2. what the log says of both ends: `src_vpc` and `dst_vpc`, the zones of Transit Gateway flow logs
   (in the record's region) and, for Google Cloud, attributes such as `jsonPayload.dest_instance`;
3. the user's table: the longest prefix that holds the address.

Region and zone of an end come from one origin: the first that names either, or a later one that
names the same and adds what is missing. An origin that contradicts an earlier one in cloud, region
or zone adds nothing to that end.

An end is *known* if its cloud, region, zone or network was found; *outside* if none was and its
address is public, that is none of private, shared, unique local, link-local, loopback, multicast or
broadcast, as in `labels`; else *inside*, at an unknown place. The class of the path is the first
that applies:

    null               an address is missing or invalid
    internet_out       destination outside, source not
    internet_in        source outside, destination not
    internet           both outside
    inter_cloud        both clouds known and different
    inter_region       both regions known and different
    same_zone          both zones known and equal
    inter_zone         both zones known and different, both regions known
    same_region        both regions known and equal
    internal_unknown   anything else

Zones are compared within a region: "a" of one region is not "a" of another, so zones are equal
only if their regions do not differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, ConfigError, Context
from ktrans.enrichers.paths.costs import cost, path_classes
from ktrans.enrichers.paths.places import PLACE, Places
from ktrans.enrichers.paths.prefix_table import load_prefix_table
from ktrans.enrichers.paths.prices import Prices, load_prices
from ktrans.flow.schema import TEXT
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.columns import option, require_integer, require_text, text_field
from ktrans.kit.flow_rules import PATH_CLASSES, SIDES

Output = Literal[
    "src_cloud",
    "src_region",
    "src_zone",
    "src_vpc",
    "dst_cloud",
    "dst_region",
    "dst_zone",
    "dst_vpc",
    "path_class",
    "cost_estimate",
]
FROM_RECORD = ("provider", "region", "zone", "vpc_id", "reporter", "direction")
_OUTPUTS: tuple[Output, ...] = get_args(Output)
_PATH_CLASS = f"Kind of path between the ends: {', '.join(PATH_CLASSES)}"
_COST = "Estimate of what the cloud charges for these bytes, in the table's currency"


class ZonesEnricherConfig(ComponentConfig, type="zones"):
    """Adds cloud, region, zone and network of both ends, the class of the path, and its price.

    The record comes first, for the end that it was captured at; the other end, and what the record
    does not say, are looked up in the table. `src_vpc` and `dst_vpc` are filled where the log
    left them empty. The price is an estimate: bytes (as logged, before any sampling is undone)
    divided by 10^9, times the price of the path; `bytes_rev` is charged for the way back.
    """

    table: str | None = Field(
        None,
        min_length=1,
        description=(
            "Your networks: a .csv, .json, .yaml or .yml file with the columns prefix and any of "
            "cloud, region, zone, vpc; the longest prefix wins."
        ),
        examples=["networks.csv"],
    )
    prices: str | None = Field(
        None,
        min_length=1,
        description=(
            "Prices: a .csv, .json, .yaml or .yml file with the columns path_class, price_per_gb and, if "
            "wanted, from_region and to_region (empty: any). Adds `cost_estimate`."
        ),
        examples=["prices.csv"],
    )
    attrs: bool = Field(
        True,
        description=(
            "Look for both ends' places in the log's attributes too; Google Cloud has them."
        ),
        examples=[False],
    )
    columns: list[Output] | None = Field(
        None,
        min_length=1,
        description="Which columns to add; all by default.",
        examples=[["path_class"], ["src_zone", "dst_zone", "path_class"]],
    )


class ZonesEnricher(ColumnEnricher[ZonesEnricherConfig]):
    """Adds places of both ends, class and price of the path."""

    replaces = ("src_vpc", "dst_vpc")
    names_option = "columns"

    def __init__(self, config: ZonesEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._places: Places
        self._prices: Prices | None = None

    def reads(self) -> Sequence[str]:
        """Name the addresses, what the record says of places, and the counters if they cost."""
        counters = ("bytes", "bytes_rev") if "cost_estimate" in self.columns() else ()
        return ["src_addr", "dst_addr", "src_vpc", "dst_vpc", *FROM_RECORD, *counters]

    def needs(self) -> Sequence[str]:
        """Name what it reads, and the attributes, which need not exist."""
        return [*self.reads(), *(("attrs",) if self.config.attrs else ())]

    def adds(self) -> Sequence[str]:
        """Name the new columns; the networks of both ends exist already."""
        return [name for name in self.columns() if name not in self.replaces]

    def columns(self) -> dict[str, pa.DataType | pa.Field]:
        """Name the columns that are wanted, in order."""
        fields: dict[str, pa.DataType | pa.Field] = {}
        for side, end in zip(SIDES, ("source", "destination"), strict=True):
            for what in PLACE:
                name = f"{side}_{what}"
                fields[name] = text_field(name, f"{what.capitalize()} of the {end}")
            fields[f"{side}_vpc"] = TEXT  # described by the flow schema
        fields["path_class"] = text_field("path_class", _PATH_CLASS, PATH_CLASSES)
        cost = pa.field("cost_estimate", pa.float64(), metadata={"description": _COST})
        fields["cost_estimate"] = cost
        wanted = self.config.columns
        if wanted is None:
            wanted = [name for name in _OUTPUTS if self.config.prices or name != "cost_estimate"]
        return {name: field for name, field in fields.items() if name in wanted}

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Read the tables, check the columns and add the new ones.

        Raises:
            ConfigError: a column is missing, is of the wrong type or exists already; a table cannot
                be read or has a bad row; a price is wanted without prices.
        """
        require_text(schema, ["src_addr", "dst_addr", "src_vpc", "dst_vpc", *FROM_RECORD], "zones")
        with option("columns"):
            if "cost_estimate" in self.columns():
                require_integer(schema, ["bytes", "bytes_rev"], "zones")
                if self.config.prices is None:
                    raise ConfigError(
                        "zones: cost_estimate needs prices", hint="name a file in `prices`"
                    )
        self._load()
        return super().bind(schema)

    def _load(self) -> None:
        table = None
        if self.config.table is not None:
            with option("table"):
                path = self.context.path(self.config.table)
                table = load_prefix_table(path, "prefix", None)
                if not set(PLACE) & set(table.columns):
                    raise ConfigError(
                        f"zones: {path} has none of the columns {', '.join(PLACE)}",
                        code="unknown_column",
                    )
        self._places = Places(table)
        if self.config.prices is not None:
            with option("prices"):
                self._prices = load_prices(self.context.path(self.config.prices), PATH_CLASSES)

    def compute(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Find the places of both ends by distinct values, and compare them row by row."""
        ends = self._places.find(batch, attrs=self.config.attrs)
        classes = path_classes(ends)
        new: dict[str, pa.Array] = {}
        for name in self.columns():
            if name == "path_class":
                new[name] = classes.column()
            elif name == "cost_estimate":
                assert self._prices is not None
                new[name] = cost(batch, ends, classes, self._prices)
            else:
                side, what = name.split("_")
                new[name] = ends.column(side, what)
        return new
