"""The enricher `python`: each batch goes through a function of an installed module."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from ktrans.api import ComponentConfig, ConfigError, Context, Enricher, RunError


class PythonEnricherConfig(ComponentConfig):
    """Options of the `python` enricher."""

    type: Literal["python"] = Field("python", description="This enricher.", examples=["python"])
    function: str = Field(
        pattern=r"^[\w.]+:[\w.]+$",
        description="`module:function` of a module that is installed beside ktrans. It takes a "
        "pyarrow.RecordBatch and returns one, is called in several threads at once, and gives the "
        "same for the same batch. Once, before any data, it is called with a batch without rows, "
        "and the result has the schema.",
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
        description="Whether it may leave out rows. If not, a batch that comes back shorter stops "
        "the run. It may never come back longer.",
        examples=[True],
    )
    changes_counters: bool = Field(
        default=False,
        description="Whether it may change `bytes` and `packets` of a row.",
        examples=[True],
    )


class PythonEnricher(Enricher[PythonEnricherConfig]):
    """Calls a function on each batch, and holds it to the schema that it gave at first."""

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
        module, _, path = self.config.function.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for name in path.split("."):
                found = getattr(found, name)
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
        """Call the function with no rows, and return the schema of the result.

        Raises:
            ConfigError: it fails, or gives something else than a RecordBatch.
        """
        if self.config.reads is not None:
            missing = [name for name in self.config.reads if name not in schema.names]
            if missing:
                raise ConfigError(
                    f"the rows have no column {missing[0]!r}", field="reads", code="column_missing"
                )
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
                f"{self.config.function} gives a {type(given).__name__}, not a RecordBatch",
                field="function",
                code="function_failed",
            )
        self._schema = given.schema
        return self._schema

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Call the function.

        Raises:
            RunError: it gives another schema than it did for no rows.
        """
        given = self._call(batch)
        if not given.schema.equals(self._schema):
            raise RunError(
                f"{self.config.function} gave other columns or types than it did for no rows",
                code="function_failed",
                hint=f"it gave {_told(given.schema)}; at first {_told(self._schema)}",
            )
        return given

    def _call(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self.config.reads is not None:
            batch = batch.select(self.config.reads)
        return self.function(batch, **self.config.options)


def _told(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)
