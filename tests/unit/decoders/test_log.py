"""The language in which logs are declared: its example, claims, predicates, and frames."""

import doctest

import pytest

from ktrans.api import Head
from ktrans.decoders import log
from ktrans.decoders.log import (
    LIKELY,
    Json,
    Log,
    any_of,
    col,
    first_of,
    keys,
    pattern,
    texts,
    where,
)


def test_the_example_of_the_module_works():
    assert doctest.testmod(log).failed == 0


ENDS = '"src": "10.0.0.1", "dst": "10.0.0.2"'


def declared(**more):
    given = {
        "provider": "acme",
        "log_type": "acme.fw",
        "frames": (Json(),),
        "columns": (col("src_addr", "src"), col("dst_addr", "dst"), col("bytes", "n")),
        "sniff": keys("src"),
        **more,
    }
    return Log("acme", **given)


def decoded(run_log, lines, collect, payload):
    decoder = run_log.decoder(run_log.config())
    return collect(decoder, decoder.blocks(payload("mem://o", "\n".join(lines).encode())))


def test_the_options_of_a_log_are_its_type_alone():
    model = declared().config
    assert model().type == "acme"
    assert list(model.model_fields) == ["type"]
    assert model.model_fields["type"].description


def test_constants_are_in_every_row_and_the_rest_is_in_attrs(collect, payload):
    made = declared(constants={"reporter": "firewall"})
    [row] = decoded(made, [f'{{{ENDS}, "n": 1, "x": {{"y": 2}}}}'], collect, payload).rows
    assert (row["provider"], row["log_type"], row["reporter"]) == ("acme", "acme.fw", "firewall")
    assert row["attrs"] == [("x", '{"y":2}')]


@pytest.mark.parametrize(
    ("skip", "skipped"),
    [
        (where("kind", not_="flow"), 1),
        (where("kind", unlike="^f"), 1),
        (where("kind", test=lambda kind: kind == "flow"), 1),
        (None, 0),
    ],
)
def test_records_that_meet_a_predicate_are_skipped(collect, payload, skip, skipped):
    lines = [*(f'{{{ENDS}, "kind": "{kind}"}}' for kind in ("flow", "dns")), f"{{{ENDS}}}"]
    done = decoded(declared(skip=skip), lines, collect, payload)
    assert (len(done.rows), done.skipped) == (3 - skipped, skipped)
    assert sum(done.foreign.values()) == skipped
    assert set(done.foreign) <= {"kind dns", "kind flow"}


def test_records_without_both_addresses_are_rejected_unless_their_status_says_no_data(
    collect, payload
):
    status = col("log_status", "status")
    columns = (col("src_addr", "src"), col("dst_addr", "dst"), col("bytes", "n"), status)
    states = ("OK", "NODATA", "SKIPDATA", "")
    lines = [f"{{{ENDS}}}", '{"src": "10.0.0.1", "n": 1}', '{"n": 1}']
    lines += [f'{{"n": 1, "status": "{state}"}}' for state in states]
    done = decoded(declared(columns=columns), lines, collect, payload)
    assert done.reasons == dict.fromkeys((2, 3, 4, 7), "no_addresses")
    assert [row["log_status"] for row in done.rows] == [None, "NODATA", "SKIPDATA"]


def test_the_names_of_other_records_are_short_and_plain(collect, payload):
    kind = "\\u001b[31m" + "x" * 100
    lines = [f'{{{ENDS}, "kind": "{kind}"}}']
    [name] = decoded(declared(skip=where("kind", not_="flow")), lines, collect, payload).foreign
    assert name == ("kind ??31m" + "x" * 100)[:60]


@pytest.mark.parametrize(
    ("sniffer", "data", "why"),
    [
        (keys("a", "b"), b'{"a": 1, "b" : 2}', "JSON keys a, b"),
        (keys("a", "b"), b'{"a": 1}', None),
        (keys("a"), b'{"x": "a"}', None),
        (keys("a"), b'"a","b"\n1,2\n', None),
        (keys("a", any_of("b", "c")), b'{"a": 1, "c": 2}', "JSON keys a, c"),
        (keys(any_of("a", "b", "c", least=2)), b'{"c": 1, "a": 2}', "JSON keys a, c"),
        (keys(any_of("a", "b", "c", least=2)), b'{"c": 1}', None),
        (texts("#path\tconn"), b"#path\tconn\n", "the text #path\tconn"),
        (pattern(rb"^v\d ", "a version"), b"v2 x", "a version"),
        (first_of(keys("z"), keys("a", score=LIKELY)), b'{"a": 1}', "JSON keys a"),
    ],
)
def test_claims_need_every_mark(sniffer, data, why):
    claim = sniffer(Head("o", data))
    assert (None if claim is None else claim.why) == why
    assert sniffer(Head("o", data, ("a", "b"))) is None
