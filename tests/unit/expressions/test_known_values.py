"""Comparisons with a value that a column never has are refused, with the values that it has."""

from __future__ import annotations

import pytest

from ktrans.api import Context
from ktrans.decoders.logs.flow_json import FlowJsonDecoder, FlowJsonDecoderConfig
from ktrans.enrichers.labels import LabelsEnricher, LabelsEnricherConfig
from ktrans.expressions import ExpressionError, compile_expression
from ktrans.flow.schema import FLOW_SCHEMA


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("action = 'REJECT'", "action is never 'REJECT'", "write 'reject'"),
        ("action in ('accept', 'denied')", "action is never 'denied'", "accept, reject, drop"),
        ("'ok' != log_status", "log_status is never 'ok'", "write 'OK'"),
        ("direction not in ('')", "direction is never ''", "ingress, egress"),
        ("provider = 'AWS'", "provider is never 'AWS'", "write 'aws'"),
        ("protocol = 'TCP'", "protocol is a number", "write protocol = 6"),
        ("case flow_state when 'x' then 1 else 0 end = 1", "flow_state is never 'x'", "begin"),
        ("src_class = 'Private'", "src_class is never 'Private'", "write 'private'"),
    ],
)
def test_a_value_that_a_column_never_has_is_refused(text, problem, hint):
    schema = LabelsEnricher(LabelsEnricherConfig(), Context()).bind(FLOW_SCHEMA)
    with pytest.raises(ExpressionError) as error:
        compile_expression(text, schema)
    assert error.value.problem.startswith(problem)
    assert hint in error.value.hint
    assert text[error.value.position] == "'"


@pytest.mark.parametrize(
    "text",
    [
        "action = 'drop' or action is null",
        "provider = 'acme'",
        "region = 'anything'",
        "upper(action) = 'REJECT'",
        "action = null",
        "action like 'REJ%'",
    ],
)
def test_other_values_are_not_its_business(text):
    assert compile_expression(text, FLOW_SCHEMA, require="bool")


def test_a_mapping_may_give_columns_words_of_its_own():
    fields = {"src_addr": "a", "dst_addr": "b", "start_time": "t", "action": "verdict"}
    decoder = FlowJsonDecoder(FlowJsonDecoderConfig(fields=fields))
    schema = decoder.schema(None)
    assert compile_expression("action = 'permitted'", schema, require="bool")
    with pytest.raises(ExpressionError, match="direction is never"):
        compile_expression("direction = 'up'", schema)
