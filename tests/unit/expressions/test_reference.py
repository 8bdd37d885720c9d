"""Every function and operator is described, and its examples are true."""

import pyarrow as pa
import pytest

from ktrans.expressions import compile_expression
from ktrans.expressions.functions import FUNCTIONS
from ktrans.expressions.functions import OPERATORS as KNOWN
from ktrans.expressions.reference import LITERALS, OPERATORS, functions

ROW = pa.record_batch({"row": pa.array([1])})
EXAMPLES = [
    example for entry in (*functions(), *OPERATORS, *LITERALS) for example in entry.examples
]


def value(text):
    return compile_expression(text, ROW.schema).evaluate(ROW).to_pylist()[0]


@pytest.mark.parametrize(("text", "same"), EXAMPLES)
def test_an_example_has_the_value_that_is_given(text, same):
    assert value(text) == value(same)
    assert type(value(text)) is type(value(same))


def test_every_function_has_a_description_and_an_example():
    assert [entry.name for entry in functions()] == sorted(FUNCTIONS)
    assert all(entry.about and entry.examples for entry in functions())


def test_every_operator_is_described():
    described = " ".join(entry.usage for entry in OPERATORS)
    for name in KNOWN:
        assert name.strip("[]") in described
