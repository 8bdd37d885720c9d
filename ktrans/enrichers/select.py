"""The `select` enricher: keeps, drops and renames columns."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Self

import pyarrow as pa
from pydantic import Field, StringConstraints, model_validator

from ktrans.api import ComponentConfig, ConfigError, Enricher
from ktrans.flow.schema import NAMES
from ktrans.kit.columns import OptionErrors, option, require, unknown_column

Name = Annotated[str, StringConstraints(min_length=1)]


class SelectEnricherConfig(ComponentConfig, type="select"):
    """Keeps or drops columns by name or pattern, then renames."""

    example: ClassVar[dict[str, Any]] = {"drop": ["raw"]}

    keep: list[Name] | None = Field(
        None,
        min_length=1,
        description=(
            "The columns to keep, in this order; `*` and `?` match any text and any character. "
            "Leave it out to keep all."
        ),
        examples=[["start_time", "src_*", "dst_*", "bytes"]],
    )
    drop: list[Name] = Field(
        default_factory=list,
        description="Columns to leave out; patterns as in `keep`. Not together with `keep`.",
        examples=[["attrs", "*_rev"]],
    )
    rename: dict[Name, Name] = Field(
        default_factory=dict,
        description="New names by old names, applied last.",
        examples=[{"src_addr": "source_ip", "dst_addr": "destination_ip"}],
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.keep is not None and self.drop:
            raise ValueError("give either keep or drop, not both")
        if self.keep is None and not self.drop and not self.rename:
            raise ValueError("give at least one of keep, drop and rename")
        return self


class SelectEnricher(Enricher[SelectEnricherConfig]):
    """Keeps, drops and renames columns."""

    _kept: list[str]
    _schema: pa.Schema

    def needs(self) -> Sequence[str]:
        """Name the columns that the config names one by one, except those to drop."""
        kept = [name for name in self.config.keep or () if not _is_pattern(name)]
        return list(dict.fromkeys([*kept, *self.config.rename]))

    def adds(self) -> Sequence[str]:
        """Name the columns that come into being by renaming."""
        return list(self.config.rename.values())

    def keeps(self) -> Sequence[str]:
        """Name the flow columns that stay; what other enrichers make, they make in any case."""
        if self.config.keep is None:
            gone = _hits(self.config.drop, NAMES)
            return [name for name in NAMES if name not in gone]
        exact = [name for name in self.config.keep if not _is_pattern(name)]
        return list(dict.fromkeys([*exact, *_hits(self.config.keep, NAMES)]))

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Match the names with the columns that there are."""
        names = schema.names
        if self.config.keep is not None:
            with option("keep"):
                kept = _matching(self.config.keep, names, "select: keep")
        else:
            with option("drop"):
                # A flow column that is missing was not decoded because nobody reads it.
                dropped = _matching(self.config.drop, names, "select: drop", absent=NAMES)
            kept = [name for name in names if name not in dropped]
        left = pa.schema([schema.field(name) for name in kept])
        with option("rename"):
            require(left, self.config.rename, "select: rename")
        renamed = [self.config.rename.get(name, name) for name in kept]
        twins = sorted({name for name in renamed if renamed.count(name) > 1})
        if twins:
            raise ConfigError(
                f"select: two columns would be named {twins[0]!r}",
                code="column_exists",
                hint="drop one of them, or rename it to something else",
            )
        if not renamed:
            raise ConfigError("select: no column is left", hint="keep at least one")
        fields = [field.with_name(name) for field, name in zip(left, renamed, strict=True)]
        self._kept = kept
        self._schema = pa.schema(fields, metadata=schema.metadata)
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Pick the columns; nothing is copied."""
        columns = [batch.column(name) for name in self._kept]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name


def _hits(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names that the patterns match, in the order of the patterns."""
    return [name for pattern in patterns for name in names if fnmatchcase(name, pattern)]


def _matching(
    patterns: Sequence[str], names: list[str], what: str, absent: Sequence[str] = ()
) -> list[str]:
    """Return the columns that the patterns match, in their order; each must match something."""
    errors = OptionErrors()
    for pattern in patterns:
        known = [*names, *(NAMES if _is_pattern(pattern) else absent)]
        with errors.option(None):
            if not _hits([pattern], known):
                raise unknown_column(pattern, names, what)
    errors.finish()
    return list(dict.fromkeys(_hits(patterns, names)))
