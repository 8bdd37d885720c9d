"""A small, safe expression language with SQL's look, compiled to Arrow compute calls.

    compile_expression("action = 'reject' and bytes > 10 * packets", schema).evaluate(batch)

Literals, arithmetic, comparison, `and`/`or`/`not` with SQL's three-valued logic, `is null`, `in`,
`between`, `like`, `case`, `cast`, `||` and a fixed list of functions. Types are checked when the
expression is compiled, so evaluation cannot fail: division by zero, an integer overflow and a cast
of text that is not a number give null. Nothing is ever handed to Python's `eval`.
"""

from __future__ import annotations

from ktrans.expressions.errors import ExpressionError
from ktrans.expressions.expression import Expression, compile_expression
from ktrans.expressions.functions import function_names
from ktrans.expressions.parser import columns_of, parse

__all__ = [
    "Expression",
    "ExpressionError",
    "columns_of",
    "compile_expression",
    "function_names",
    "parse",
]
