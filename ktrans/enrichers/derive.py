"""The `derive` enricher: computes columns from others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import Field, StringConstraints

from ktrans.api import ComponentConfig, ConfigError, Context, Enricher
from ktrans.expressions import Expression, columns_of, compile_expression
from ktrans.flow.schema import COUNTERS
from ktrans.kit.columns import OptionErrors, rebuild

Name = Annotated[str, StringConstraints(min_length=1)]


class DeriveEnricherConfig(ComponentConfig, type="derive"):
    """Computes columns by expressions, in the order written; later ones may use earlier ones."""

    columns: dict[Name, str] = Field(
        min_length=1,
        description=(
            "The new columns by name, each with its expression. "
            "A name that exists already replaces that column."
        ),
        examples=[{"bits": "bytes * 8", "is_web": "dst_port in (80, 443)"}],
    )


class DeriveEnricher(Enricher[DeriveEnricherConfig]):
    """Computes columns from others."""

    def __init__(self, config: DeriveEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.changes_counters = any(name in COUNTERS for name in config.columns)
        self._steps: list[tuple[str, Expression, pa.Schema]] = []

    def needs(self) -> Sequence[str]:
        """Name what the expressions read and no earlier one made."""
        made: set[str] = set()
        read: set[str] = set()
        errors = OptionErrors()
        for name, text in self.config.columns.items():
            with errors.option(f"columns.{name}"):
                read |= columns_of(text) - made
            made.add(name)
        errors.finish()
        return sorted(read)

    def adds(self) -> Sequence[str]:
        """Name the columns that it makes."""
        return list(self.config.columns)

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Compile the expressions, each against the columns before it."""
        self._steps = []
        errors = OptionErrors()
        failed: set[str] = set()
        for name, text in self.config.columns.items():
            expression = None
            with errors.option(f"columns.{name}"):
                if not columns_of(text) & failed:
                    expression = _compile(name, text, schema, self.context.base_dir)
            if expression is None:
                failed.add(name)
                continue
            about = {"description": f"= {expression.text}"}
            field = pa.field(name, expression.type, metadata=about)
            at = schema.get_field_index(name)
            schema = schema.append(field) if at < 0 else schema.set(at, field)
            self._steps.append((name, expression, schema))
        errors.finish()
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Compute the columns, one after the other."""
        for name, expression, schema in self._steps:
            batch = rebuild(batch, schema, {name: expression.evaluate(batch)})
        return batch


def _compile(name: str, text: str, schema: pa.Schema, folder: Path) -> Expression:
    """Compile the expression of a column, which must have a type."""
    expression = compile_expression(text, schema, folder=folder)
    if pa.types.is_null(expression.type):
        raise ConfigError(
            f"derive: {name!r} is always null, so it has no type",
            hint="say which: cast(null as int)",
        )
    return expression
