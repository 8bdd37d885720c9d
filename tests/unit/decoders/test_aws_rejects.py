"""Bad lines: exactly they are rejects, with the right reasons, and everything else is a row."""

import random
import sys

import pyarrow as pa
import pytest

from ktrans.api import Limits

REASONS = {
    "packets": ("-5", "out_of_range"),
    "bytes": ("99999999999999999999", "out_of_range"),
    "start": ("yesterday", "bad_timestamp"),
    "srcaddr": ("10.0.0.256", "bad_address"),
    "dstaddr": ("2001:db8::g", "bad_address"),
}


@pytest.mark.parametrize("field", REASONS)
def test_each_kind_of_bad_value_rejects_its_line_with_words(run, v2, good, record, field):
    value, reason = REASONS[field]
    line = record(**{field: value})
    result = run([v2, good, line, good])
    assert result.positions == [2, 4]
    assert result.reasons == {3: reason}
    (reject,) = result.rejects
    assert field in reject["detail"]
    assert value in reject["detail"]
    assert (reject["raw"], reject["layout"]) == (line.encode(), v2)
    assert (reject["decoder"], reject["decoder_version"]) == ("aws_vpc", "1")


OPTIONAL = {
    "srcport": ("70000", "src_port"),
    "dstport": ("-1", "dst_port"),
    "protocol": ("256", "protocol"),
    "version": ("1.5", "log_version"),
    "end": ("-1", "end_time"),
}


@pytest.mark.parametrize("near", [[], ["broken"]])
@pytest.mark.parametrize("field", OPTIONAL)
def test_a_bad_value_of_an_optional_column_is_null_counted_and_kept(
    run, v2, good, record, field, near
):
    value, column = OPTIONAL[field]
    result = run([v2, good, record(**{field: value}), *near])
    assert result.positions == [2, 3]
    assert result.rows[1][column] is None
    assert dict(result.rows[1]["attrs"]) == {field: value}
    assert result.unread == {column: 1}


@pytest.mark.parametrize("value", ["+5", "0x1F", "0X1f", "1e3", "1.0", "five", "1_000", "\u0665"])
def test_case_63_only_plain_digits_are_integers(run, v2, record, value):
    assert run([v2, record(bytes=value)]).reasons == {2: "bad_integer"}


@pytest.mark.parametrize("near", [[], ["broken"]])
def test_leading_zeros_are_decimal_however_the_block_is_read(run, v2, record, near):
    row = run([v2, record(bytes="00042", srcport="0" * 30 + "80"), *near]).rows[0]
    assert (row["bytes"], row["src_port"]) == (42, 80)


@pytest.mark.parametrize(
    "text",
    [
        "010.0.0.1",
        "10.0.0",
        "10.0.0.1.5",
        "10.0.0.1/8",
        "fe80::1%eth0",
        "1.2.3.04",
        "::ffff:1.2.3",
        "localhost",
    ],
)
def test_addresses_are_read_strictly(run, v2, record, text):
    assert run([v2, record(srcaddr=text)]).reasons == {2: "bad_address"}


def test_case_64_bytes_that_are_not_utf8_fail_their_line_only(run, v2, good):
    data = (
        f"{v2}\n{good}\n".encode()
        + good.replace("eni-0a1", "eni-\udcff").encode("utf-8", "surrogateescape")
        + b"\n"
        + f"{good}\n".encode()
    )
    result = run(data)
    assert result.positions == [2, 4]
    assert result.reasons == {3: "invalid_utf8"}
    assert "0xff" in result.rejects[0]["detail"]
    assert result.rejects[0]["raw"].count(b"\xff") == 1


def test_utf8_that_is_valid_is_kept(run, v2, record):
    assert run([v2, record(interface_id="eni-é")]).rows[0]["interface_id"] == "eni-é"


def mistakes(lines, rate, seed):
    """Spoil about this share of lines; give the lines and what is wrong with which (0-based)."""
    rng = random.Random(seed)
    fields = list(REASONS)
    spoiled, wrong = list(lines), {}
    for number, line in enumerate(lines):
        if rng.random() >= rate:
            continue
        tokens = line.split(" ")
        kind = rng.randrange(len(fields) + 3)
        if kind < len(fields):
            value, reason = REASONS[fields[kind]]
            tokens[PLACES[fields[kind]]] = value
        elif kind == len(fields):
            reason = "too_few_fields"
            del tokens[-rng.randrange(1, 5) :]
        elif kind == len(fields) + 1:
            reason = "too_many_fields"
            tokens.insert(rng.randrange(14), "more")
        else:
            reason = "control_character"
            tokens[2] += "\0"
        spoiled[number] = " ".join(tokens)
        wrong[number] = reason
    return spoiled, wrong


PLACES = {
    name: place
    for place, name in enumerate(
        [
            "version",
            "account-id",
            "interface-id",
            "srcaddr",
            "dstaddr",
            "srcport",
            "dstport",
            "protocol",
            "packets",
            "bytes",
            "start",
            "end",
            "action",
            "log-status",
        ]
    )
}


@pytest.mark.parametrize("rate", [1e-4, 1e-2, 0.2, 0.9])
@pytest.mark.slow
def test_trap_07_exactly_the_bad_lines_are_rejects_at_any_rate(run, v2, record, rate):
    lines = [record(packets=number, srcport=number % 60000) for number in range(20_000)]
    spoiled, wrong = mistakes(lines, rate, seed=7)
    assert wrong
    result = run([v2, *spoiled], limits=Limits(block_bytes=1 << 18))
    assert result.reasons == {number + 2: reason for number, reason in wrong.items()}
    good = [number for number in range(20_000) if number not in wrong]
    assert [row["source_pos"] - 2 for row in result.rows] == good
    assert [row["packets"] for row in result.rows] == good
    raw = {row["source_pos"] - 2: row["raw"].decode() for row in result.rejects}
    assert raw == {number: spoiled[number] for number in wrong}
    assert [row["source_pos"] for row in result.rejects] == sorted(number + 2 for number in wrong)


def test_trap_03_hexadecimal_never_passes_for_a_number(run, v2, good, record):
    lines = [good] * 50 + [record(packets="0x1F")] + [good] * 50
    assert run([v2, *lines]).reasons == {52: "bad_integer"}
    assert run([v2, good.replace("eni-0a1", "eni-0x1")]).rejects == []


def test_trap_04_blank_lines_do_not_shift_line_numbers(run, v2, good, record):
    lines = [v2, good, "", "  ", record(bytes="x"), "", good]
    result = run(lines)
    assert result.positions == [2, 7]
    assert result.reasons == {5: "bad_integer"}
    assert result.skipped == 4
    texts = run(["vpc-id srcaddr dstaddr", "a ::1 ::2", "", "c ::1 ::2"])
    assert texts.positions == [2, 4]


def test_trap_04_empty_fields_carriage_returns_and_nul_are_noticed(run):
    lines = ["vpc-id srcaddr dstaddr start zonk bytes", "a ::1 ::2 1 c 1"]
    header = "vpc-id subnet-id az-id bytes srcaddr dstaddr"
    assert run([header, "a  c 1 ::1 ::2"]).reasons == {2: "too_few_fields"}
    assert run([header, "a  c 1 ::1 ::2"], columns=["bytes"]).reasons == {2: "too_few_fields"}
    assert run([header, "a b\rc d 1 ::1 ::2"]).reasons == {2: "control_character"}
    assert run([header, "a b\0 c 1 ::1 ::2"], columns=["bytes"]).reasons == {2: "control_character"}
    assert run(lines).positions == [2]


def test_trap_05_addresses_of_three_and_five_parts_are_both_refused(run, v2, record):
    result = run([v2, record(srcaddr="1.2.3"), record(srcaddr="1.2.3.4.5"), record()])
    assert result.reasons == {2: "bad_address", 3: "bad_address"}


def test_trap_06_a_type_error_does_not_take_the_block_with_it(run, v2, good, record):
    lines = [good] * 500 + [record(packets="x")] + [good] * 500
    result = run([v2, *lines])
    assert len(result.rows) == 1000
    assert result.reasons == {502: "bad_integer"}


def test_trap_08_no_python_call_per_row(make, payload, v2, record):
    data = "\n".join([v2, *(record(bytes=number) for number in range(20_000))]).encode()
    decoder = make()
    blocks = list(decoder.blocks(payload("mem://o", data)))
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        rows = sum(decoder.decode(block).batch.num_rows for block in blocks)
    finally:
        sys.setprofile(None)
    assert rows == 20_000
    assert calls < 5_000


def test_trap_09_dictionaries_may_differ_between_batches(run, v2, record):
    lines = [record(srcaddr=f"10.0.{number // 250}.{number % 250}") for number in range(2000)]
    result = run([v2, *lines], limits=Limits(block_bytes=1 << 14))
    assert len(result.batches) > 5
    unified = pa.Table.from_batches(result.batches).unify_dictionaries()
    column = unified.column("src_addr")
    assert column.cast(pa.string()).to_pylist() == [line.split()[3] for line in lines]


def test_a_reject_does_not_depend_on_where_blocks_are_cut(run, v2, record):
    lines = [record(packets=number) for number in range(400)]
    spoiled, _ = mistakes(lines, 0.1, seed=3)
    whole = run([v2, *spoiled])
    for block in (64, 150, 1000, 5000):
        small = run([v2, *spoiled], limits=Limits(block_bytes=block))
        assert small.rows == whole.rows
        assert small.rejects == whole.rejects


def test_columns_that_nobody_asks_for_cost_no_rejects_but_widths_do(run, v2, record):
    lines = [v2, record(srcport="x"), "too few", record()]
    result = run(lines, columns=["bytes", "source_pos"])
    assert [row["source_pos"] for row in result.rows] == [2, 4]
    assert result.reasons == {3: "too_few_fields"}


@pytest.mark.parametrize("columns", [["provider"], ["record_id"], ["attrs"], ["ip_version"], []])
def test_any_projection_counts_rows_right(make, payload, v2, record, columns):
    decoder = make(columns=columns)
    data = "\n".join([v2, *[record()] * 5]).encode()
    done = [decoder.decode(block) for block in decoder.blocks(payload("mem://o", data))]
    assert [d.batch.schema.names for d in done] == [columns]
    assert sum(d.records - d.skipped for d in done) == 5
