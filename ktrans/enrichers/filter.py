"""The `filter` enricher: keeps the rows for which a condition is true."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from ktrans.api import ComponentConfig, Enricher
from ktrans.expressions import Expression, columns_of, compile_expression
from ktrans.kit.columns import option


class FilterEnricherConfig(ComponentConfig, type="filter"):
    """Keeps the rows for which `where` is true; false and unknown (null) rows are filtered out."""

    where: str = Field(
        description="Condition that a row must meet, in ktrans's expression language.",
        examples=["action = 'reject' or bytes > 0", "not in_cidr(dst_addr, '10.0.0.0/8')"],
    )


class FilterEnricher(Enricher[FilterEnricherConfig]):
    """Keeps the rows for which a condition is true."""

    drops_rows = True
    _where: Expression

    def needs(self) -> Sequence[str]:
        """Name the columns in the condition."""
        with option("where"):
            return sorted(columns_of(self.config.where))

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Compile the condition."""
        with option("where"):
            self._where = compile_expression(
                self.config.where, schema, require="bool", folder=self.context.base_dir
            )
        return schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Keep the rows for which the condition is true."""
        mask = self._where.evaluate(batch)
        if pc.all(mask, skip_nulls=False).as_py():  # null if any is unknown
            return batch
        return batch.filter(mask)
