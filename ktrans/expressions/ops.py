"""A compiled expression: operations with types, and how they are run over a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from ktrans.expressions.values import Kind, Value, normal
from ktrans.flow.schema import TEXT


@dataclass(frozen=True, slots=True)
class Op:
    """One typed operation.

    Attributes:
        kind: of its result.
        run: takes the values of `args`, returns the result. Pure and total.
        args: the operations that it takes the values of.
        column: for a leaf, the column that it reads.
        value: for a constant, its value.
        pos: its offset in the text.
    """

    kind: Kind
    run: Callable[..., Value] | None = None
    args: tuple[Op, ...] = ()
    column: str | None = None
    value: Any = None
    pos: int = 0
    columns: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        own = frozenset() if self.column is None else frozenset({self.column})
        object.__setattr__(self, "columns", own.union(*(arg.columns for arg in self.args)))

    @property
    def is_constant(self) -> bool:
        """Whether it has the same value in every row."""
        return self.value is not None


class Env:
    """The columns of one batch, each brought to its normal form once."""

    def __init__(self, columns: dict[str, pa.Array], kinds: dict[str, Kind], rows: int) -> None:
        self.columns = columns
        self.kinds = kinds
        self.rows = rows
        self._normal: dict[str, pa.Array] = {}

    def column(self, name: str) -> pa.Array:
        """Return a column in the type in which its kind is computed."""
        if name not in self._normal:
            self._normal[name] = normal(self.columns[name], self.kinds[name])
        return self._normal[name]


def run(op: Op, env: Env) -> Value:
    """Compute an operation over a batch."""
    if op.is_constant:
        return op.value
    if op.column is not None:
        return env.column(op.column)
    distinct = distinct_of(op, env)
    if distinct is not None:
        values, indices = distinct
        return values if isinstance(values, pa.Scalar) else values.take(indices)
    assert op.run is not None
    return op.run(*(run(arg, env) for arg in op.args))


def distinct_of(op: Op, env: Env) -> tuple[Value, pa.Array] | None:
    """Run an operation that depends on one text column only on its distinct values.

    Returns:
        The values and, for each row, which of them; None if there is no such column, or if the
        dictionary is longer than the batch (as after a filter), when going by rows is less work.
    """
    if not op.args or len(op.columns) != 1:
        return None
    (name,) = op.columns
    array = env.columns[name]
    coded = env.kinds[name] == "text" and pa.types.is_dictionary(array.type)
    if not coded or len(array.dictionary) >= env.rows:
        return None
    texts = normal(array.dictionary, "text")
    indices = array.indices
    if indices.null_count:
        # A null is one more value: functions such as coalesce give something for it.
        indices = indices.cast(pa.int64()).fill_null(len(texts))
        texts = pa.concat_arrays([texts, pa.nulls(1, pa.string())])
    return run(op, Env({name: texts}, env.kinds, len(texts))), indices


def encoded(op: Op, env: Env) -> pa.Array:
    """Compute a text operation as a dictionary array without repeated values."""
    distinct = distinct_of(op, env)
    if distinct is not None and isinstance(distinct[0], pa.Array):
        values = distinct[0].dictionary_encode()
        codes = values.indices.take(distinct[1])
        return pa.DictionaryArray.from_arrays(codes, values.dictionary)
    value = run(op, env)
    if isinstance(value, pa.Scalar):
        value = pa.repeat(value, env.rows)
    return value.dictionary_encode().cast(TEXT)
