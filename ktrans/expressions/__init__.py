"""A small, safe expression language with SQL's look, compiled to Arrow compute calls.

    compile_expression("action = 'reject' and bytes > 10 * packets", schema).evaluate(batch)

Literals, arithmetic, comparison, `and`/`or`/`not` with SQL's three-valued logic, `is null`, `in`,
`between`, `like`, `case`, `cast`, `||` and a fixed list of functions. Types are checked when the
expression is compiled, so evaluation cannot fail: division by zero, an integer overflow and a cast
of text that is not a number give null. Nothing is ever handed to Python's `eval`.

The modules are imported on first use: many pipelines have no expression.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktrans.expressions.errors import ExpressionError as ExpressionError
    from ktrans.expressions.expression import Expression as Expression
    from ktrans.expressions.expression import compile_expression as compile_expression
    from ktrans.expressions.functions import function_names as function_names
    from ktrans.expressions.parser import columns_of as columns_of
    from ktrans.expressions.parser import files_of as files_of
    from ktrans.expressions.parser import parse as parse

_MODULES = {
    "ExpressionError": "errors",
    "Expression": "expression",
    "compile_expression": "expression",
    "function_names": "functions",
    "columns_of": "parser",
    "files_of": "parser",
    "parse": "parser",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    return globals().setdefault(name, getattr(module, name))
