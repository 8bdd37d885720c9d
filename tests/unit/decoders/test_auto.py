"""The auto decoder: what it picks, what it says, and when it gives up."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktrans.api import ConfigError, RejectError, TruncatedError

TGW = "tgw-id srcaddr dstaddr bytes\ntgw-1 10.0.0.1 10.0.0.2 5\n"


@pytest.fixture
def pick(make, payload, collect):
    """Decode one object; give the result and what was chosen."""

    def go(data, **options):
        final = options.pop("final", True)
        decoder = make("auto", **options)
        result = collect(decoder, decoder.blocks(payload("mem://o", data, final=final)))
        return result, decoder.choices()

    return go


def test_a_header_line_names_the_kind(pick, v2, good):
    result, choices = pick(f"{v2}\n{good}\n".encode())
    assert result.rows[0]["log_type"] == "aws.vpc"
    assert choices == {"mem://o": "aws_vpc: header line names 14 known fields of aws.vpc"}
    result, choices = pick(gzip.compress(TGW.encode()))
    assert result.rows[0]["log_type"] == "aws.tgw"
    assert choices["mem://o"].startswith("aws_tgw: header line")


def test_records_of_the_default_format_need_no_header(pick, good):
    assert pick(f"broken\n{good}\n".encode())[0].reasons == {1: "no_layout"}
    assert pick(f"2023-11-14T22:13:20Z {good}\n".encode())[0].positions == [1]
    event = json.dumps({"messageType": "DATA_MESSAGE", "logEvents": [{"message": good}]})
    assert pick(event.encode())[0].positions == [1]


def test_parquet_is_told_by_its_columns(pick):
    sink = io.BytesIO()
    pq.write_table(pa.table({"tgw_id": ["t"], "srcaddr": ["::1"], "dstaddr": ["::2"]}), sink)
    result, choices = pick(sink.getvalue())
    assert result.rows[0]["log_type"] == "aws.tgw"
    assert choices["mem://o"] == "aws_tgw: Parquet columns are 3 known fields of aws.tgw"


def test_new_fields_do_not_hide_the_kind(pick, v2, good):
    result, choices = pick(f"{v2} brand-new\n{good} x\n".encode())
    assert result.rows[0]["attrs"] == [("brand-new", "x")]
    assert "1 unknown" in choices["mem://o"]


def test_the_format_option_serves_logs_without_header(pick, good):
    result, _ = pick(b"5 ::1 ::2\n6 ::1 ::2\n", format="${bytes} ${srcaddr} ${dstaddr}")
    assert [row["bytes"] for row in result.rows] == [5, 6]
    event = {"messageType": "DATA_MESSAGE", "logEvents": [{"message": "5 ::1 ::2"}]}
    assert pick(json.dumps(event).encode(), format="bytes srcaddr dstaddr")[0].rows[0]["bytes"] == 5
    assert (
        pick(f"{good}\n".encode(), format="tgw-id tgw-src-eni srcaddr dstaddr")[0].rows[0]["bytes"]
        == 900
    )


def test_what_nobody_knows_is_refused_with_what_was_seen_and_what_to_write(pick):
    with pytest.raises(RejectError) as caught:
        pick(b"hello world, this is no flow log\n")
    assert "hello world" in caught.value.message
    assert "decoder: {type: aws_vpc, format:" in caught.value.hint
    with pytest.raises(RejectError, match="no decoder recognises"):
        pick(b"hello world\n", format="bytes srcaddr dstaddr")


@pytest.mark.parametrize("data", [b"", b"\n\n", gzip.compress(b"", mtime=0), b"\xef\xbb\xbf"])
def test_empty_objects_give_nothing(pick, data):
    result, choices = pick(data)
    assert result.rows == []
    assert choices == {"mem://o": "empty"}


def test_an_object_that_only_seems_empty_is_not_passed_over(pick, v2):
    stub = gzip.compress(v2.encode())[:12]
    with pytest.raises(TruncatedError):
        pick(stub, final=False)
    with pytest.raises(RejectError) as caught:
        pick(stub)
    assert caught.value.code == "truncated"


def test_candidates_narrow_the_choice(pick, v2, good):
    with pytest.raises(RejectError, match="no decoder recognises"):
        pick(f"{v2}\n{good}\n".encode(), candidates=("aws_tgw",))
    with pytest.raises(ConfigError, match="gopher") as caught:
        pick(b"x\n", candidates=("gopher",))
    assert "aws_vpc" in caught.value.hint


def test_a_damaged_parquet_file_is_refused(pick):
    with pytest.raises(RejectError, match="unreadable Parquet file"):
        pick(b"PAR1" + b"\0" * 100)


def test_objects_of_several_kinds_share_one_schema(make, payload, collect, v2, good):
    decoder = make("auto", columns=["log_type", "bytes"])
    results = [
        collect(decoder, decoder.blocks(payload(f"mem://{n}", data)))
        for n, data in enumerate([f"{v2}\n{good}\n".encode(), TGW.encode()])
    ]
    table = pa.concat_tables([result.table for result in results])
    assert table.to_pylist() == [
        {"log_type": "aws.vpc", "bytes": 900},
        {"log_type": "aws.tgw", "bytes": 5},
    ]
    assert len(decoder.choices()) == 2


def test_the_list_of_choices_is_bounded(make, payload, v2, good):
    decoder = make("auto")
    for number in range(150):
        list(decoder.blocks(payload(f"mem://{number}", f"{v2}\n{good}\n".encode())))
    choices = decoder.choices()
    assert len(choices) == 101
    assert choices["..."] == "50 more objects"


def test_rejects_are_replayed_by_the_decoder_of_their_layout(make, payload, collect):
    decoder = make("auto")
    layout = "tgw-id srcaddr dstaddr bytes"
    blocks = decoder.replay(payload("mem://o", b"tgw-1 10.0.0.1 10.0.0.2 5\n"), layout)
    assert collect(decoder, blocks).rows[0]["log_type"] == "aws.tgw"


def test_a_grown_object_is_told_by_its_start(make, payload, collect):
    decoder = make("auto")
    source = payload(
        "mem://o", b"7 ::1 ::2\n", head=b"bytes srcaddr dstaddr\n1 ::1 ::3\n", first_line=3
    )
    assert collect(decoder, decoder.blocks(source)).rows[0]["bytes"] == 7


def test_an_object_of_nothing_but_control_messages_is_skipped(pick):
    control = json.dumps(
        {
            "messageType": "CONTROL_MESSAGE",
            "logEvents": [{"id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: checking"}],
        }
    )
    for stored in (control, control + control):
        result, choices = pick(stored.encode())
        assert not result.rows
        assert not result.rejects
        assert result.skipped == result.records == stored.count("CONTROL_MESSAGE")
        assert not choices
