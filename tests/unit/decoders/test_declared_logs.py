"""What holds for every declared log: its golden inputs, generated logs, and broken ones."""

import gzip
import importlib
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_generate import catalogue
from ktrans_generate.objects import pieces
from ktrans_generate.source import GenerateSourceConfig

from ktrans.api import Head, Limits, RejectError, TruncatedError
from ktrans.decoders import logs
from ktrans.decoders.flow_rule import REQUIRED
from ktrans.decoders.log import Log
from ktrans.flow.schema import NAMES
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples

CATALOGUE = Catalogue()
DECLARED = {
    spec.type: CATALOGUE.load(spec.build.removesuffix(".decoder"))
    for spec in CATALOGUE.specs("decoder")
    if spec.build.endswith(":LOG.decoder")
}
"""Every log that `ktrans.decoders.logs` declares."""

MAPPED = {name: log for name, log in DECLARED.items() if isinstance(log, Log)}
"""Those whose values a table maps to columns; the others are text in the format of AWS."""

GENERATED = tuple(name for name in MAPPED if name in catalogue.LOGS)
LOGS = GENERATED
LINES = tuple(name for name in GENERATED if name not in {"zeek_conn", "ibm_vpc"})
"""Logs of one JSON record a line."""

GOLDEN = Path(__file__).parents[2] / "golden"
BESIDE = (".expected.jsonl", ".rejects.jsonl", ".options.json")
UNMARKED = {
    "ibm_vpc/empty.json", "ibm_vpc/invalid.json", "gcp_vpc/push.json", "gcp_firewall/push.json",
}  # fmt: skip
"""Golden inputs without the names by which their log is recognised, or with them in a carrier."""

REASONS = {
    "bad_json", "wrong_type", "out_of_range", "bad_address", "bad_timestamp", "bad_record",
    "too_few_fields", "no_addresses",
}  # fmt: skip
SMALL = Limits(block_bytes=4096)


def inputs(log):
    """Return the golden inputs of a log."""
    return [path for path in sorted((GOLDEN / log).glob("*")) if not path.name.endswith(BESIDE)]


def recognisable(log):
    """Return the golden inputs of a log that have its marks."""
    return [path for path in inputs(log) if f"{log}/{path.name}" not in UNMARKED]


def head(path):
    return Head(path.name, path.read_bytes())


def made(log, rows=400, bad=0.0, seed=1, nodata=0.01):
    config = GenerateSourceConfig(
        log=log, rows=rows, rows_per_object=rows, seed=seed, bad_ratio=bad, nodata_ratio=nodata
    )
    return b"".join(pieces(config.recipe(), 0))


def test_every_log_of_the_room_is_listed_under_its_own_name():
    room = {path.stem for path in Path(logs.__path__[0]).glob("*.py")}
    found = {
        name for name in room if hasattr(importlib.import_module(f"{logs.__name__}.{name}"), "LOG")
    }
    assert found == set(DECLARED)
    assert all(log.name == name for name, log in DECLARED.items())


def test_every_log_can_be_made_up_but_our_own():
    assert set(MAPPED) - set(GENERATED) == {"ktrans"}


@pytest.mark.parametrize("name", MAPPED)
def test_a_log_fills_flow_columns(name):
    log = MAPPED[name]
    filled = {each.column for each in log.columns} | set(log.constants) | set(log.defaults)
    filled |= {column for columns in log.reads.values() for column in columns} | log.always
    assert filled <= set(NAMES)
    assert {"start_time", "src_addr", "dst_addr", "provider", "log_type"} <= filled


@pytest.mark.parametrize("name", MAPPED)
def test_a_log_recognises_its_own_golden_inputs_and_no_others(name):
    log = MAPPED[name]
    assert recognisable(name)
    assert all(log.recognise(head(path)) for path in recognisable(name))
    others = [
        path for other in GOLDEN.iterdir() if other.name != name for path in inputs(other.name)
    ]
    assert [path for path in others if log.recognise(head(path))] == []


@pytest.mark.parametrize("name", MAPPED)
def test_auto_decodes_the_golden_inputs_of_a_log_like_its_decoder(run, name):
    for path in recognisable(name):
        data = path.read_bytes()
        assert run(data, "auto").rows == run(data, name).rows


def by_position(rows):
    """Return rows by their position, where no two have the same one."""
    positions = Counter(row["source_pos"] for row in rows)
    return {row["source_pos"]: row for row in rows if positions[row["source_pos"]] == 1}


@pytest.mark.parametrize("name", MAPPED)
def test_a_column_alone_is_the_same_column(run, name):
    for path in inputs(name):
        data = path.read_bytes()
        whole = by_position(run(data, name).rows)
        for column in {each.column for each in MAPPED[name].columns}:
            some = by_position(run(data, name, ["source_pos", column]).rows)
            shared = whole.keys() & some.keys()
            assert bool(shared) == bool(whole)
            assert {p: some[p][column] for p in shared} == {p: whole[p][column] for p in shared}


@pytest.mark.parametrize("name", DECLARED)
def test_records_that_are_rejected_are_rejected_again_when_replayed(
    make, payload, collect, run, name
):
    for path in inputs(name):
        decoder = make(name)
        for reject in run(path.read_bytes(), name).rejects:
            again = collect(decoder, decoder.replay(payload("r", reject["raw"]), reject["layout"]))
            [reason] = again.reasons.values()
            assert reason == reject["reason"] or (reason, reject["reason"]) == (
                "truncated",
                "bad_json",
            )


@pytest.mark.parametrize("log", LOGS)
def test_every_record_is_a_row_a_reject_or_skipped(run, log):
    done = run(made(log, bad=0.1), log)
    header = made(log).count(b"\n#") + made(log).startswith(b"#")
    assert done.records == 400 + header
    assert 15 < len(done.rejects) < 80
    assert set(done.reasons.values()) <= REASONS
    assert len(done.rows) + len(done.rejects) + done.skipped == done.records


def at(record, path):
    """Return the object that has the last name of a path; None if there is none."""
    for name in path[:-1]:
        record = record.get(name) if isinstance(record, dict) else None
    return record if isinstance(record, dict) and path[-1] in record else None


@pytest.mark.parametrize("name", LINES)
def test_an_optional_value_that_cannot_be_read_costs_no_row(run, name):
    log = MAPPED[name]
    record = next(line for line in made(name, nodata=0).splitlines() if line[:1] == b"{")
    [plain] = run(record, name).rows
    tried = 0
    for each in log.columns:
        kind = each.rule.kind
        if each.column in REQUIRED or kind in ("text", "ip_version") or plain[each.column] is None:
            continue
        spoiled = json.loads(record)
        paths = [path for c in log.columns if c.column == each.column for path in c.paths]
        places = [(at(spoiled, env + path), path) for env in log.envelopes for path in paths]
        for place, path in places:
            if place is not None:
                place[path[-1]] = "~~"
        done = run(json.dumps(spoiled), name)
        assert done.rejects == []
        assert done.rows[0][each.column] is None
        assert done.unread[each.column] >= 1
        assert "~~" in dict(done.rows[0]["attrs"]).values()
        tried += 1
    assert tried or name == "hubble"


@pytest.mark.parametrize("log", LOGS)
def test_good_records_are_the_same_whether_bad_ones_stand_beside_them(run, log):
    clean = {row["source_pos"]: row for row in run(made(log), log).rows}
    mixed = run(made(log, bad=0.1), log).rows
    assert mixed
    for row in mixed:
        other = clean[row["source_pos"]]
        keys = ("start_time", "src_addr", "dst_addr", "src_port", "protocol", "packets", "bytes")
        assert {k: row[k] for k in keys} == {k: other[k] for k in keys}


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("bad", [0.0, 0.05])
def test_small_blocks_give_the_same_rows(run, log, bad):
    data = made(log, bad=bad)
    whole, cut = run(data, log), run(data, log, limits=SMALL)
    assert len(cut.batches) > 10
    assert cut.rows == whole.rows
    assert cut.rejects == whole.rejects


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize(
    "columns",
    [
        ["bytes", "packets"],
        ["src_port", "dst_port", "tcp_flags", "flow_state"],
        ["direction", "action", "log_status", "region", "account_id", "source_pos"],
        ["start_time", "ip_version", "src_service", "dst_service", "reporter"],
        ["attrs"],
    ],
)
def test_fewer_columns_are_the_same_columns(run, log, columns):
    data = made(log)
    whole = run(data, log).table
    some = run(data, log, columns=columns, limits=SMALL).table
    assert some.column_names == [name for name in whole.column_names if name in columns]
    for name in some.column_names:
        assert some.column(name).to_pylist() == whole.column(name).to_pylist()


@pytest.mark.parametrize("log", LOGS)
def test_auto_finds_the_decoder(run, log):
    data = made(log, rows=50)
    assert run(data, "auto").rows == run(data, log).rows


@pytest.mark.parametrize("log", LOGS)
def test_the_flow_schema_is_filled_with_its_types(run, log):
    table = run(made(log), log).table
    for name in ("start_time", "src_addr", "dst_addr", "protocol", "ip_version", "provider"):
        assert table.column(name).null_count < table.num_rows
    portless = [r for r in table.to_pylist() if r["protocol"] in (1, 58)]
    assert all(row["src_port"] is None and row["dst_port"] is None for row in portless)


@pytest.mark.parametrize("log", LINES)
def test_an_array_of_records_is_as_good_as_lines(run, log):
    lines = made(log, rows=30).splitlines()
    array = b"[\n" + b",\n".join(lines) + b"\n]"
    as_lines, as_array = run(b"\n".join(lines), log), run(array, log)
    assert as_array.rows == as_lines.rows


@pytest.mark.parametrize("log", LOGS)
def test_a_torn_gzip_is_tried_again_and_then_kept_as_far_as_it_goes(run, log):
    torn = gzip.compress(made(log))[:-400]
    with pytest.raises(TruncatedError):
        run(torn, log, final=False)
    done = run(torn, log)
    assert done.rows
    assert done.rejects[-1]["reason"] == "truncated"


@pytest.mark.parametrize("log", LOGS)
@settings(max_examples=examples(12), deadline=None)
@given(data=st.data())
def test_garbage_never_does_more_than_be_refused(log, data):
    from ktrans.api import BytesPayload, Context, Split
    from ktrans.registry.catalogue import Catalogue

    base = made(log, rows=12)
    begin = data.draw(st.integers(0, len(base)))
    end = data.draw(st.integers(begin, min(len(base), begin + 40)))
    noise = data.draw(st.binary(max_size=30))
    catalogue = Catalogue()
    decoder = catalogue.build("decoder", catalogue.config("decoder", {"type": log}), Context())
    decoder.schema(None)
    payload = BytesPayload(Split("m", "m"), base[:begin] + noise + base[end:])
    try:
        for block in decoder.blocks(payload):
            done = decoder.decode(block)
            rejected = 0 if done.rejects is None else done.rejects.num_rows
            assert done.records == done.batch.num_rows + rejected + done.skipped
            done.batch.validate(full=True)
    except (RejectError, TruncatedError):
        pass


@pytest.mark.parametrize("log", LINES)
def test_64_bytes_that_are_not_utf8_fail_their_record_only(run, log):
    lines = made(log, rows=20, nodata=0).splitlines(keepends=True)
    lines[4] = lines[4].replace(b"{", b'{"x":"\xff\xfe",', 1)
    done = run(b"".join(lines), log)
    assert done.reasons == {5: "bad_json"}
    assert len(done.rows) + done.skipped == 19


@pytest.mark.parametrize("log", LINES)
def test_62_of_duplicate_keys_the_last_one_counts(run, log):
    line = json.loads(made(log, rows=1, nodata=0))
    text = json.dumps({"zz": 1, **line})[:-1] + ', "zz": 2}'
    done = run(text, log)
    assert dict(done.rows[0]["attrs"])["zz"] == "2"


def test_text_columns_are_dictionaries(run):
    table = run(made("oci_vcn"), "oci_vcn").table
    assert table.schema.field("src_addr").type == pa.dictionary(pa.int32(), pa.string())
