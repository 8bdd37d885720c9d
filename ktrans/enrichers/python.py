"""The `python` enricher: calls a function of an installed module on each batch."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, ConfigError, Context, Enricher, RunError
from ktrans.kit.columns import option, require


class PythonEnricherConfig(ComponentConfig, type="python"):
    """Options of the `python` enricher."""

    function: str = Field(
        pattern=r"^[\w.]+:[\w.]+$",
        description="`module:function` of a module that is installed beside ktrans. It takes a "
        "pyarrow.RecordBatch and returns one, is called in several threads at once, and always "
        "returns the same for the same batch. Before any data it is called with a batch without "
        "rows; all results must have the schema of that result.",
        examples=["acme_flows.enrich:add_owner"],
    )
    options: dict[str, Any] = Field(
        default={},
        description="Keyword arguments of the function.",
        examples=[{"table": "owners.csv"}],
    )
    reads: list[str] | None = Field(
        default=None,
        description="The only columns that the function reads or passes on; others are then not "
        "even decoded. All columns if not given.",
        examples=[["src_addr", "bytes"]],
    )
    drops_rows: bool = Field(
        default=False,
        description="Whether it may drop rows. If not, a shorter result stops the run. A longer "
        "result always does.",
        examples=[True],
    )
    changes_counters: bool = Field(
        default=False,
        description="Whether it may change `bytes` and `packets` of a row.",
        examples=[True],
    )


class PythonEnricher(Enricher[PythonEnricherConfig]):
    """Calls a function on each batch, and checks that the schema of its results never changes."""

    def __init__(self, config: PythonEnricherConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.drops_rows = config.drops_rows
        self.changes_counters = config.changes_counters
        self._schema = pa.schema([])

    @cached_property
    def function(self) -> Callable[..., pa.RecordBatch]:
        """The function.

        Raises:
            ConfigError: it cannot be imported, or cannot be called.
        """
        try:
            found: Any = pkgutil.resolve_name(self.config.function)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"{self.config.function} cannot be imported: {error}",
                field="function",
                code="function_not_found",
                hint="install the module into the environment that ktrans runs in",
            ) from error
        if not callable(found):
            raise ConfigError(f"{self.config.function} is not a function", field="function")
        function: Callable[..., pa.RecordBatch] = found
        return function

    def needs(self) -> list[str] | None:
        """Name the columns that it reads, if the config lists them."""
        return self.config.reads

    def bind(self, schema: pa.Schema) -> pa.Schema:
        """Call the function with no rows, and return the schema of the result."""
        if self.config.reads is not None:
            with option("reads"):
                require(schema, self.config.reads, "python")
        try:
            given = self._call(pa.RecordBatch.from_pylist([], schema=schema))
        except Exception as error:
            raise ConfigError(
                f"{self.config.function} fails on a batch without rows: "
                f"{type(error).__name__}: {error}",
                field="function",
                code="function_failed",
                hint="it is called with no rows before any data, to learn the schema",
            ) from error
        if not isinstance(given, pa.RecordBatch):
            raise ConfigError(
                f"{self.config.function} returns a {type(given).__name__}, not a RecordBatch",
                field="function",
                code="function_failed",
            )
        self._schema = given.schema
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Call the function.

        Raises:
            RunError: the result has another schema than for no rows.
        """
        given = self._call(batch)
        if not given.schema.equals(self._schema):
            raise RunError(
                f"{self.config.function} returned other columns or types than for no rows",
                code="function_failed",
                hint=f"it returned {_described(given.schema)}; for no rows {_described(self._schema)}",
            )
        return given

    def _call(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self.config.reads is not None:
            batch = batch.select(self.config.reads)
        return self.function(batch, **self.config.options)


def _described(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
