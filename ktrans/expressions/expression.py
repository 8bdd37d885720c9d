"""A compiled expression, and the function that makes one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from ktrans.expressions.compiler import Compiler, an
from ktrans.expressions.errors import ExpressionError
from ktrans.expressions.ops import Env, Op, encoded, run
from ktrans.expressions.parser import parse
from ktrans.expressions.values import ARROW, Kind
from ktrans.flow.schema import TEXT


class Expression:
    """An expression compiled against a schema. Pure; safe to use from several threads.

    Attributes:
        text: as written.
        type: the Arrow type of the result: bool, int64, float64, TEXT (dictionary of int32 codes),
            timestamp[us, UTC], null; or the column's own type if the expression is just a column.
        columns: the columns that it reads.
    """

    def __init__(self, text: str, op: Op, kinds: dict[str, Kind], schema: pa.Schema) -> None:
        self.text = text
        self.columns: frozenset[str] = op.columns
        self._kinds = {name: kinds[name] for name in op.columns}
        self._op = op
        self.type: pa.DataType
        if op.column is not None:
            self.type = schema.field(op.column).type
        else:
            self.type = TEXT if op.kind == "text" else ARROW[op.kind]

    def evaluate(self, batch: pa.RecordBatch) -> pa.Array:
        """Compute the expression for every row.

        Args:
            batch: holds at least `columns`, with the types of the schema it was compiled against.

        Returns:
            As many values as rows, of `type`.
        """
        if self._op.column is not None:
            return batch.column(self._op.column)
        env = Env({name: batch.column(name) for name in self.columns}, self._kinds, batch.num_rows)
        if self._op.kind == "text":
            return encoded(self._op, env)
        value = run(self._op, env)
        return pa.repeat(value, batch.num_rows) if isinstance(value, pa.Scalar) else value

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def compile_expression(
    text: str, schema: pa.Schema, *, require: Kind | None = None, folder: Path = Path()
) -> Expression:
    """Compile an expression.

    Args:
        text: the expression.
        schema: of the batches to come.
        require: the kind that the result must have, such as "bool" for a condition.
        folder: where relative paths of lists begin.

    Raises:
        ExpressionError: it does not parse, names an unknown column or function, or mixes types.
    """
    tree = parse(text)
    compiler = Compiler(text, schema, folder)
    op = compiler.visit(tree)
    if require is not None and op.kind not in (require, "null"):
        hint = "write a comparison, such as bytes > 0" if require == "bool" else None
        raise ExpressionError(
            f"this is {an(op.kind)}, where {an(require)} is needed", text, tree.pos, hint=hint
        )
    if require is not None:
        op = compiler.as_kind(op, require)
    if op.kind == "attrs":
        raise ExpressionError(
            "a map is not a value", text, tree.pos, hint="take one entry: attrs['name']"
        )
    return Expression(text, op, compiler.kinds, schema)
