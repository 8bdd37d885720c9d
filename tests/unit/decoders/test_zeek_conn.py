"""Zeek's conn.log: header lines anywhere, grown objects, replays, and both ways of reading lines."""

import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ktrans.api import Limits, TruncatedError
from tests.examples import examples

NAMES = [
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "duration",
    "orig_bytes",
    "orig_pkts",
]
HEADER = "\n".join(
    ["#separator \\x09", "#unset_field\t-", "#path\tconn", "#fields\t" + "\t".join(NAMES), ""]
)


def line(n=1, **fields):
    values = dict(
        zip(
            NAMES,
            f"17778823{n:02}.5 C{n} 10.0.0.{n} 400{n:02} 10.1.0.1 443 tcp 1.5 10 2".split(),
            strict=True,
        )
    )
    return "\t".join((values | fields).values()) + "\n"


def test_a_grown_object_is_read_by_the_header_at_its_start(run):
    later = run(line(2), "zeek_conn", head=(HEADER + line(1)).encode(), first_line=6)
    assert later.positions == [6]
    assert later.rows[0]["record_id"] == "C2"


def test_a_rejected_line_is_read_again_by_its_layout(run, make, collect, payload):
    [reject] = run(HEADER + line(3, ts="noon"), "zeek_conn").rejects
    assert reject["reason"] == "bad_timestamp"
    decoder = make("zeek_conn")
    mended = reject["raw"].replace(b"noon", b"1777882369")
    again = collect(decoder, decoder.replay(payload("r", mended), reject["layout"]))
    assert (again.rows[0]["record_id"], again.rows[0]["protocol"]) == ("C3", 6)


def test_lines_without_a_header_are_rejected(run):
    done = run("\n" + line(1), "zeek_conn")
    assert done.reasons == {2: "no_layout"}
    assert done.skipped == 1


def test_a_new_header_replaces_all_of_the_one_before(run):
    other = "#separator \\x2c\n#fields,ts,id.orig_h,id.resp_h\n1777882369,10.9.9.9,::1\n"
    done = run(HEADER + line(1) + other, "zeek_conn")
    assert [row["src_addr"] for row in done.rows] == ["10.0.0.1", "10.9.9.9"]
    assert done.rows[1]["bytes"] is None


def test_unset_is_null_and_zero_is_zero(run):
    unset = line(1, orig_bytes="-", orig_pkts="-", duration="-")
    rows = run(
        HEADER + unset + line(2, orig_bytes="0", orig_pkts="0", duration="0"), "zeek_conn"
    ).rows
    assert [(row["bytes"], row["packets"]) for row in rows] == [(None, None), (0, 0)]
    assert rows[0]["end_time"] is None
    assert rows[1]["end_time"] == rows[1]["start_time"]


@pytest.mark.parametrize("ending", ["\r\n", "\n"])
def test_lines_may_end_as_on_windows_and_begin_with_a_mark(run, ending):
    data = "\ufeff" + (HEADER + line(1)).replace("\n", ending)
    assert run(data, "zeek_conn").rows[0]["src_addr"] == "10.0.0.1"


def test_a_torn_object_waits_and_then_keeps_what_is_whole(run):
    torn = gzip.compress((HEADER + "".join(map(line, range(10, 90)))).encode())[:-30]
    with pytest.raises(TruncatedError):
        run(torn, "zeek_conn", final=False)
    done = run(torn, "zeek_conn")
    assert done.rows
    assert done.rejects[-1]["reason"] == "truncated"


FIELD = st.sampled_from(
    ["-", "0", "17", "1.5", "1e-05", "-1", "x", "(empty)", '"', "10.0.0.9", "::1", ""]
)


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.lists(st.lists(FIELD, min_size=9, max_size=11), min_size=1, max_size=6))
def test_lines_mean_the_same_alone_and_beside_others(run, rows):
    """Blocks of good lines are read by Arrow, others line by line: both have to agree."""
    lines = ["\t".join(["1777882369.5", *row[1:]]) + "\n" for row in rows]
    whole = run(HEADER + "".join(lines), "zeek_conn")
    alone = [run(HEADER + each, "zeek_conn") for each in lines]
    drop = {"source_pos"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in whole.rows] == [
        {k: v for k, v in row.items() if k not in drop} for done in alone for row in done.rows
    ]
    assert [r["reason"] for r in whole.rejects] == [r["reason"] for d in alone for r in d.rejects]


def test_small_blocks_and_repeated_headers_keep_the_positions(run):
    data = "".join(HEADER + line(n) for n in range(10, 60))
    whole, cut = run(data, "zeek_conn"), run(data, "zeek_conn", limits=Limits(block_bytes=700))
    assert whole.positions == cut.positions == [5 * (n + 1) for n in range(50)]
    assert whole.skipped == cut.skipped == 200
