"""The `generate` source: seeded synthetic flow logs, as many as wanted."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

import msgspec
from pydantic import Field, field_validator, model_validator

from ktrans.api import (
    Budget,
    ComponentConfig,
    Memory,
    Payload,
    Plan,
    Source,
    Split,
    SplitChangedError,
    UsageError,
)
from ktrans.kit.text.encodings import PiecesStream
from ktrans.kit.units import WholeSeconds
from ktrans_generate.catalogue import LOGS, log_named
from ktrans_generate.flows import Mix
from ktrans_generate.objects import Compression, Container, Recipe, pieces

_NAMES = sorted(LOGS)


class GenerateSourceConfig(ComponentConfig, type="generate"):
    """Synthetic flow logs: the same options always give the same bytes.

    The traffic is that of some hundred hosts among themselves and with other addresses: mostly TCP,
    with heavy tails. All addresses are of private, documentation and test ranges.
    """

    log: str = Field(
        default="aws_vpc_v2",
        description=f"Which log to generate: {', '.join(_NAMES)}.",
        examples=["aws_vpc_v5"],
        json_schema_extra={"enum": list(_NAMES)},
    )
    rows: int = Field(
        default=100_000, ge=1, description="Records over all objects.", examples=[2_000_000]
    )
    rows_per_object: int = Field(
        default=100_000, ge=1, description="Records of each object but the last.", examples=[10_000]
    )
    seed: int = Field(default=1, ge=0, description="Another seed, other records.", examples=[42])
    compression: Compression = Field(
        default="none",
        description="Of the objects; of the pages inside if they are Parquet.",
        examples=["gzip"],
    )
    container: Container = Field(
        default="text",
        description="Text (lines or JSON, as the log has it), or Parquet as the cloud writes it.",
        examples=["parquet"],
    )
    start: datetime = Field(
        default=datetime(2026, 5, 4, 8, tzinfo=UTC),
        description="When the first record starts; UTC unless it says otherwise.",
        examples=["2026-05-04T08:00:00Z"],
    )
    duration: WholeSeconds = Field(
        default=3600, ge=1, description="The records are spread over so long.", examples=[300]
    )
    accounts: int = Field(default=2, ge=1, le=200, description="How many accounts.", examples=[4])
    hosts: int = Field(
        default=300, ge=1, le=20_000, description="How many interfaces log.", examples=[50]
    )
    bad_ratio: float = Field(
        default=0, ge=0, le=1, description="Share of malformed records.", examples=[0.01]
    )
    ipv6_ratio: float = Field(
        default=0.05, ge=0, le=1, description="Share of IPv6.", examples=[0.5]
    )
    icmp_ratio: float = Field(
        default=0.02, ge=0, le=1, description="Share of ICMP.", examples=[0.1]
    )
    reject_ratio: float = Field(
        default=0.08, ge=0, le=1, description="Share of refused traffic.", examples=[0.5]
    )
    nodata_ratio: float = Field(
        default=0.0005,
        ge=0,
        le=1,
        description="Share of records without data (NODATA, and one in ten SKIPDATA).",
        examples=[0],
    )

    @field_validator("log")
    @classmethod
    def _known_log(cls, value: str) -> str:
        if value not in LOGS:
            raise ValueError(f"there is no such log; choose one of {', '.join(_NAMES)}")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.container == "parquet" and self.bad_ratio:
            raise ValueError("a Parquet file cannot hold malformed records: set bad_ratio to 0")
        if self.container == "parquet" and not log_named(self.log).in_parquet:
            raise ValueError(f"{self.log} has no Parquet form")
        return self

    def recipe(self) -> Recipe:
        """Return all that determines the bytes."""
        start = self.start if self.start.tzinfo else self.start.replace(tzinfo=UTC)
        return Recipe(
            log=self.log,
            rows=self.rows,
            rows_per_object=self.rows_per_object,
            seed=self.seed,
            compression=self.compression,
            container=self.container,
            start=int(start.timestamp()),
            seconds=self.duration,
            accounts=self.accounts,
            hosts=self.hosts,
            bad=self.bad_ratio,
            mix=Mix(
                ipv6=self.ipv6_ratio,
                icmp=self.icmp_ratio,
                reject=self.reject_ratio,
                nodata=self.nodata_ratio,
            ),
        )


class GeneratedPayload(Payload):
    """One object, generated while it is read."""

    def __init__(self, split: Split, recipe: Recipe) -> None:
        super().__init__(split)
        self._recipe = recipe

    def open(self) -> BinaryIO:
        """Open the object from its start."""
        reader = PiecesStream(pieces(self._recipe, self.split.data["index"]))
        return cast("BinaryIO", io.BufferedReader(reader, 1 << 20))


class GenerateSource(Source[GenerateSourceConfig]):
    """Plans objects by number until all rows are generated."""

    reads = "anywhere"

    def plan(self, position: Any, memory: Memory, budget: Budget) -> Plan | None:
        """Take the next objects, up to the budget."""
        del memory
        recipe = self.config.recipe()
        first = index = position["next"] if position else 0
        splits: list[Split] = []
        size = 0
        mark = self._mark(recipe)
        while index < recipe.objects and not budget.full(len(splits), size):
            name = f"{recipe.log}/{recipe.seed}/{index:06d}{recipe.ending}"
            split = Split(
                key=f"{name}#{mark}",
                uri=f"generate://{name}",
                size=recipe.size_of(index),
                data={"index": index, "mark": mark},
            )
            splits.append(split)
            size += split.size or 0
            index += 1
        if not splits:
            return None
        return Plan(
            splits=tuple(splits),
            position={"next": index},
            total_splits=recipe.objects - first,
            total_bytes=sum(recipe.size_of(i) for i in range(first, recipe.objects)),
        )

    def open(self, split: Split) -> GeneratedPayload:
        """Open an object."""
        recipe = self.config.recipe()
        if split.data["mark"] != self._mark(recipe):
            raise SplitChangedError(
                f"{split.uri} was planned with other options than the source has now",
                hint="restore the options, or reset the state",
            )
        return GeneratedPayload(split, recipe)

    def position_from(self, text: str) -> Any:
        """Accept the number of an object, from 0."""
        if text.isascii() and text.isdigit():
            return {"next": int(text)}
        raise UsageError(
            f"the generate source cannot start from {text!r}",
            hint="give the number of an object; the first is 0",
        )

    @staticmethod
    def _mark(recipe: Recipe) -> str:
        """Fingerprint the options."""
        parts = msgspec.json.encode(asdict(recipe))
        return hashlib.blake2b(parts, digest_size=6).hexdigest()


def write_files(folder: Path, config: GenerateSourceConfig, stem: str = "") -> list[Path]:
    """Write every object to a file of its own.

    Args:
        folder: created if it does not exist.
        config: what to generate.
        stem: the beginning of the names; the log's name if empty.

    Returns:
        The files in order.
    """
    recipe = config.recipe()
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(recipe.objects):
        number = f"-{index:05d}" if recipe.objects > 1 else ""
        path = folder / f"{stem or recipe.log}{number}{recipe.ending}"
        with path.open("wb") as file:
            for piece in pieces(recipe, index):
                file.write(piece)
        paths.append(path)
    return paths
