"""Google Cloud VPC flow logs: every case of the format, by its number in the format notes."""

import base64
import contextlib
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_generate.source import GenerateSourceConfig, write_files

from ktrans.api import BytesPayload, Context, Head, Limits, RejectError, Split, TruncatedError
from ktrans.decoders.auto import AutoDecoder, AutoDecoderConfig
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.decoders.logs.gcp_vpc import LOG
from ktrans.decoders.read import gcp as _gcp_read
from ktrans.flow.schema import NAMES
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples

LOG_NAME = "projects/shop/logs/compute.googleapis.com%2Fvpc_flows"
SMALL = Limits(block_bytes=1500)
SLIM = (
    "start_time",
    "src_addr",
    "dst_port",
    "bytes",
    "reporter",
    "vpc_id",
    "instance_id",
    "region",
)


def entry(payload=None, log=LOG_NAME, connection=None, **more):
    """Make an entry; `payload` adds to a plain flow, and takes away what it says is None."""
    flow = {
        "connection": connection
        or {"src_ip": "10.0.0.1", "src_port": 1024, "dest_ip": "10.0.0.2", "dest_port": 443,
            "protocol": 6},
        "reporter": "SRC",
        "bytes_sent": "1000",
        "packets_sent": "10",
        "start_time": "2026-02-03T04:05:06.123456789Z",
        "end_time": "2026-02-03T04:05:07Z",
        **(payload or {}),
    }  # fmt: skip
    return {
        "insertId": "one",
        "jsonPayload": {name: value for name, value in flow.items() if value is not None},
        "logName": log,
        "timestamp": "2026-02-03T04:05:09.5Z",
        "resource": {"labels": {"location": "us-east4-c", "project_id": "shop"}},
        **more,
    }


class Result:
    def __init__(self):
        self.rows, self.rejects, self.records, self.skipped = [], [], 0, 0
        self.tables = []

    @property
    def reasons(self):
        return {r["source_pos"]: r["reason"] for r in self.rejects}


def decode(data, columns=None, limits=None, final=True):
    if isinstance(data, list):
        lines = [d if isinstance(d, str) else json.dumps(d) for d in data]
        data = "".join(f"{line}\n" for line in lines)
    data = data.encode() if isinstance(data, str) else data
    decoder = CarrierDecoder(LOG.decoder(LOG.config(), Context(limits=limits or Limits())))
    schema = decoder.schema(columns)
    payload = BytesPayload(Split("k", "gs://bucket/object"), data)
    payload.final_attempt = final
    result = Result()
    for block in decoder.blocks(payload):
        assert block.nbytes >= 0
        done = decoder.decode(block)
        rejects = [] if done.rejects is None else done.rejects.to_pylist()
        assert done.records == done.batch.num_rows + len(rejects) + done.skipped
        assert done.batch.schema.equals(schema)
        done.batch.validate(full=True)
        result.tables.append(done.batch)
        result.rows += done.batch.to_pylist()
        result.rejects += rejects
        result.records += done.records
        result.skipped += done.skipped
    return result


def one(payload=None, **more):
    result = decode([entry(payload, **more)])
    assert result.rejects == []
    [row] = result.rows
    return {**row, "attrs": dict(row["attrs"] or ())}


def generated(folder, rows=800, **options):
    config = GenerateSourceConfig(log="gcp_vpc", rows=rows, rows_per_object=rows, **options)
    return write_files(folder, config)[0].read_bytes()


def test_31_integers_are_texts_or_numbers_even_in_one_file():
    texts = entry({"bytes_sent": "9007199254740993", "packets_sent": "2", "rtt_msec": "5"})
    numbers = entry({"bytes_sent": 9007199254740993, "packets_sent": 2, "rtt_msec": 5})
    numbers["jsonPayload"]["connection"]["dest_port"] = "443"
    for order in ([texts, numbers], [numbers, texts], [texts, texts], [numbers, numbers]):
        result = decode(order)
        assert result.rejects == []
        for row in result.rows:
            assert (row["bytes"], row["packets"]) == (9007199254740993, 2)
            assert (row["rtt_us"], row["dst_port"]) == (5000, 443)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-02-03T04:05:42.501046999Z", 501046),
        ("2026-02-03T04:05:42.5Z", 500000),
        ("2026-02-03T04:05:42Z", 0),
        ("2026-02-03T05:05:42.501046999+01:00", 501046),
    ],
)
def test_32_nanoseconds_are_rounded_down(text, micros):
    expected = datetime(2026, 2, 3, 4, 5, 42, micros, tzinfo=UTC)
    assert one({"start_time": text})["start_time"] == expected
    # The same in company of a time that has to be looked at by itself.
    assert decode([entry({"start_time": text}), entry({"start_time": "2026-02-03T04:05:42+00:00"})]
                  ).rows[0]["start_time"] == expected  # fmt: skip


def test_32_times_soon_after_1970_are_not_taken_for_another_unit():
    early, late = {"start_time": "1970-01-01T00:00:01Z", "end_time": "1972-01-01T00:00:01.5Z"}, {}
    row = decode([entry(early), entry(late)]).rows[0]
    assert row["start_time"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert row["end_time"] == datetime(1972, 1, 1, 0, 0, 1, 500000, tzinfo=UTC)


def test_33_both_reports_of_a_flow_are_kept():
    sides = {
        "src_instance": {"vm_name": "a", "zone": "us-east4-a", "region": "us-east4"},
        "dest_instance": {"vm_name": "b", "zone": "us-west1-b", "region": "us-west1"},
        "src_vpc": {"vpc_name": "left", "subnetwork_name": "sl"},
        "dest_vpc": {"vpc_name": "right", "subnetwork_name": "sr"},
    }
    result = decode([entry({**sides, "reporter": name}) for name in ("SRC", "DEST")])
    shown = (
        "reporter",
        "direction",
        "instance_id",
        "zone",
        "vpc_id",
        "subnet_id",
        "src_vpc",
        "dst_vpc",
    )
    assert [tuple(row[name] for name in shown) for row in result.rows] == [
        ("source", "egress", "a", "us-east4-a", "left", "sl", "left", "right"),
        ("destination", "ingress", "b", "us-west1-b", "right", "sr", "left", "right"),
    ]


def test_33_gateways_report_too():
    gateway = {"name": "tunnel", "location": "us-east4", "vpc": {"vpc_name": "hub"}}
    row = one({"reporter": "DEST_GATEWAY", "dest_gateway": gateway})
    assert (row["reporter"], row["direction"]) == ("destination_gateway", "ingress")
    assert (row["interface_id"], row["vpc_id"]) == ("tunnel", "hub")


def test_34_the_configuration_that_logged_is_kept():
    labels = {"location": "global", "name": "all-of-it", "resource_container": "projects/1"}
    row = one(resource={"type": "vpc_flow_logs_config", "labels": labels})
    assert row["attrs"]["resource.labels.name"] == "all-of-it"
    assert row["attrs"]["logName"] == LOG_NAME
    assert row["account_id"] == "shop"


def test_35_no_bytes_with_packets_is_not_loss():
    row = one({"bytes_sent": "0"})
    assert (row["bytes"], row["packets"], row["packets_dropped"]) == (0, 10, None)


def test_36_ports_and_protocol_that_are_absent_are_null():
    row = one(connection={"src_ip": "10.0.0.1", "dest_ip": "10.0.0.2"})
    assert (row["src_port"], row["dst_port"], row["protocol"]) == (None, None, None)
    icmp = one(connection={"src_ip": "::1", "dest_ip": "::2", "src_port": 0, "protocol": 58})
    assert (icmp["src_port"], icmp["protocol"], icmp["ip_version"]) == (None, 58, 6)


def test_37_drop_records_have_no_traffic_but_what_was_dropped():
    row = one(
        {
            "bytes_sent": None,
            "packets_sent": None,
            "disposition": "DROPPED",
            "drop_reason": "FIREWALL_DENY",
            "bytes_dropped": "80",
            "packets_dropped": "2",
            "throughput_inclusion": "INCLUDED",
        }
    )
    assert (row["bytes"], row["packets"]) == (None, None)
    assert (row["bytes_dropped"], row["packets_dropped"]) == (80, 2)
    assert (row["action"], row["action_reason"]) == ("drop", "FIREWALL_DENY")
    assert row["attrs"]["jsonPayload.throughput_inclusion"] == "INCLUDED"
    assert one()["action"] is None
    assert one({"disposition": "ALLOWED"})["attrs"]["jsonPayload.disposition"] == "ALLOWED"


@pytest.mark.parametrize("service", [{"service_name": "s"}, [{"service_name": "s"}], "s", None, 3])
def test_38_metadata_of_any_form_is_carried_along(service):
    details = {"pod": {"pod_name": "p", "workload": {"workload_name": "w"}}, "service": service}
    rows = decode([entry({"src_gke_details": details}), entry({"src_gke_details": "odd"}), entry()])
    assert rows.rejects == []
    assert rows.rows[0]["src_service"] == "w"
    kept = json.loads(dict(rows.rows[0]["attrs"])["jsonPayload.src_gke_details"])
    assert kept == details
    assert rows.rows[1]["src_service"] is None


def test_38_countries_stay_as_google_writes_them():
    place = {"asn": 64496, "country": "deu", "city": "Köln"}
    attrs = one({"dest_location": place})["attrs"]
    assert json.loads(attrs["jsonPayload.dest_location"]) == place


@pytest.mark.parametrize("api", ["compute", "networkmanagement"])
@pytest.mark.parametrize("slash", ["%2F", "%2f", "/"])
def test_39_both_log_names_in_both_spellings(api, slash):
    assert one(log=f"projects/p/logs/{api}.googleapis.com{slash}vpc_flows")["bytes"] == 1000


def test_39_entries_of_other_logs_are_skipped_and_counted():
    other = entry(log="projects/p/logs/compute.googleapis.com%2Ffirewall")
    audit = {"logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity", "protoPayload": {}}
    result = decode([other, entry(), audit, entry()])
    assert (result.records, len(result.rows), result.skipped) == (4, 2, 2)
    assert [row["source_pos"] for row in result.rows] == [2, 4]


def test_40_array_concatenated_lines_and_push_requests_read_alike():
    entries = [entry({"bytes_sent": str(n)}) for n in range(9)]
    data = [
        {"message": {"data": base64.b64encode(json.dumps(e).encode()).decode()}} for e in entries
    ]
    forms = [
        entries,
        json.dumps(entries, indent=2),
        json.dumps(entries),
        "".join(json.dumps(e) for e in entries),
        "\n".join(json.dumps(e, indent=1) for e in entries),
        data,
        json.dumps(data[0]) + json.dumps(entries[1:])[1:-1].replace("}, {", "}{"),
    ]
    expected = decode(forms[0]).rows
    assert [row["bytes"] for row in expected] == list(range(9))
    for form in forms[1:-1]:
        for limits in (None, SMALL):
            assert decode(form, limits=limits).rows == expected


def test_41_nothing_depends_on_order_and_repeated_entries_are_kept():
    first, second = entry(insertId="a"), entry({"start_time": "2026-01-01T00:00:00Z"}, insertId="a")
    rows = decode([first, second, first]).rows
    assert [row["record_id"] for row in rows] == ["a", "a", "a"]


def test_42_new_fields_go_to_attrs_wherever_they_turn_up():
    new = entry(
        {"novel": {"deep": [1, {"x": None}]}, "plain": 5, "round_trip_time": {"max_msec": 2}}
    )
    new["jsonPayload"]["connection"]["nat_ip"] = "192.0.2.1"
    new["spanId"] = "abc"
    result = decode([entry(), new, entry()])
    assert result.rejects == []
    attrs = dict(result.rows[1]["attrs"])
    assert attrs["jsonPayload.novel"] == '{"deep":[1,{"x":null}]}'
    assert attrs["jsonPayload.plain"] == "5"
    assert attrs["jsonPayload.connection.nat_ip"] == "192.0.2.1"
    assert attrs["spanId"] == "abc"
    assert attrs["jsonPayload.round_trip_time.max_msec"] == "2"
    assert "spanId" not in dict(result.rows[0]["attrs"])


def test_42_hundreds_of_new_fields_are_kept_as_well():
    entries = [entry({f"new_{n}_{i}": i for i in range(5)}) for n in range(60)]
    result = decode(entries)
    assert result.rejects == []
    for n, row in enumerate(result.rows):
        attrs = dict(row["attrs"])
        assert {attrs[f"jsonPayload.new_{n}_{i}"] for i in range(5)} == set("01234")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bytes_sent": "1.5"}, "wrong_type"),
        ({"bytes_sent": "0x10"}, "wrong_type"),
        ({"bytes_sent": True}, "wrong_type"),
        ({"packets_sent": [1]}, "wrong_type"),
        ({"start_time": "yesterday"}, "bad_timestamp"),
        ({"connection": {"src_ip": "10.0.0.256", "dest_ip": "::1"}}, "bad_address"),
        ({"packets_sent": 2**64}, "out_of_range"),
        ({"connection": None}, "no_addresses"),
        ({"connection": {"src_ip": "10.0.0.1"}}, "no_addresses"),
    ],
)
def test_63_what_cannot_be_is_refused_with_its_place_and_its_bytes(change, reason):
    bad = json.dumps(entry(change))
    result = decode([entry(), bad, entry()])
    assert [row["source_pos"] for row in result.rows] == [1, 3]
    [reject] = result.rejects
    assert (reject["source_pos"], reject["reason"]) == (2, reason)
    assert reject["raw"] == bad.encode()
    assert reject["detail"]
    assert (reject["decoder"], reject["source_uri"]) == ("gcp_vpc", "gs://bucket/object")


def test_63_integral_floats_are_integers():
    assert one({"bytes_sent": 12.0})["bytes"] == 12


def test_64_bytes_that_are_not_utf8_fail_the_record_alone():
    lines = [json.dumps(entry()).encode() for _ in range(3)]
    lines[1] = lines[1].replace(b'"one"', b'"\xff\xfe"')
    result = decode(b"\n".join(lines))
    assert result.reasons == {2: "bad_json"}
    assert [row["source_pos"] for row in result.rows] == [1, 3]


@pytest.mark.parametrize("bad", ["{", "[17]", "17", "null", '"text"', "nonsense", '{"a":NaN}'])
def test_lines_that_are_no_entries_are_refused(bad):
    result = decode([entry(), bad, entry()])
    assert list(result.reasons) == [2]
    assert [row["source_pos"] for row in result.rows] == [1, 3]


def test_numbers_and_nesting_beyond_all_bounds_do_no_harm():
    huge = json.dumps(entry({"new": {"a": 2**70}, "bytes_sent": 2**70}))
    deep = json.dumps(entry({"new": 0})).replace('"new": 0', '"new": ' + "[" * 5000 + "]" * 5000)
    wide = json.dumps(entry({"packets_sent": 2**70, "new": 1e300}))
    for columns in (None, SLIM):
        result = decode([entry(), huge, deep, wide, entry()], columns=columns)
        assert result.records == 5
        assert {row["bytes"] for row in result.rows} == {1000}
    for form in (f"[{deep},{deep}]", json.dumps({"message": {"data": "e30="}}) + deep):
        assert decode(form).records >= 2


def test_68_blocks_do_not_change_rows_or_positions(tmp_path):
    data = generated(tmp_path, bad_ratio=0.05, nodata_ratio=0.02)
    whole, small = decode(data), decode(data, limits=Limits(block_bytes=7000))
    assert len(small.tables) > 10
    assert small.rows == whole.rows
    assert [(r["source_pos"], r["reason"], r["raw"]) for r in small.rejects] == [
        (r["source_pos"], r["reason"], r["raw"]) for r in whole.rejects
    ]
    assert whole.records == 800
    assert whole.skipped > 0
    lines = data.split(b"\n")
    assert all(r["raw"] == lines[r["source_pos"] - 1] for r in whole.rejects)
    assert set(whole.reasons.values()) == {
        "bad_json", "bad_address", "bad_timestamp", "wrong_type", "no_addresses",
    }  # fmt: skip


def test_damaged_entries_do_not_change_the_others(tmp_path):
    clean = decode(generated(tmp_path / "a", nodata_ratio=0))
    dirty = decode(generated(tmp_path / "b", nodata_ratio=0, bad_ratio=0.3))
    bad = set(dirty.reasons)
    assert 100 < len(bad) < 400
    good = [row for row in clean.rows if row["source_pos"] not in bad]
    for row in good + dirty.rows:
        row["source_uri"] = ""
    assert dirty.rows == good


@pytest.mark.parametrize("bad_ratio", [0, 0.1])
@pytest.mark.parametrize("columns", [SLIM, ("attrs",), ("source_pos",), ("ip_version", "action")])
def test_fewer_columns_are_the_same_columns(tmp_path, columns, bad_ratio):
    data = generated(tmp_path, rows=300, bad_ratio=bad_ratio)
    whole, part = decode(data), decode(data, columns=columns)
    assert {name for table in part.tables for name in table.schema.names} == set(columns)
    if not bad_ratio:
        assert part.rows == [{name: row[name] for name in columns} for row in whole.rows]


def test_generated_entries_use_every_part(tmp_path):
    result = decode(generated(tmp_path, rows=3000))
    assert result.rejects == []
    filled = {name for row in result.rows for name, value in row.items() if value is not None}
    assert set(NAMES) - filled == {
        "log_version", "src_pkt_addr", "dst_pkt_addr", "packets_rev", "bytes_rev", "tcp_flags",
        "rule", "acl_id", "flow_state", "encryption", "interface_id",
    }  # fmt: skip
    assert {row["action"] for row in result.rows} == {None, "drop"}
    names = {dict(row["attrs"])["logName"].partition("/logs/")[2] for row in result.rows}
    assert len(names) == 2


def test_generated_entries_are_recognised(tmp_path):
    data = generated(tmp_path)
    decoder = AutoDecoder(AutoDecoderConfig(), Context(registry=Catalogue()))
    decoder.schema(None)
    rows = sum(
        decoder.decode(block).batch.num_rows
        for block in decoder.blocks(BytesPayload(Split("k", "u"), data))
    )
    assert rows > 790
    assert decoder.choices()["u"].startswith("gcp_vpc:")


def test_what_is_claimed():
    named = json.dumps(entry()).encode()
    unnamed = json.dumps({"jsonPayload": {"connection": {"src_ip": "::1"}}}).encode()
    assert LOG.recognise(Head("x", named)).score == 100
    assert LOG.recognise(Head("x", json.dumps([entry()], indent=2).encode())).score == 100
    assert LOG.recognise(Head("x", named.replace(b"%2F", b"/"))).score == 100
    assert LOG.recognise(Head("x", unnamed)).score == 60
    assert LOG.recognise(Head("x", named.replace(b"vpc_flows", b"firewall"))) is None
    assert LOG.recognise(Head("x", b"2 123 eni-1 10.0.0.1")) is None
    assert LOG.recognise(Head("x", b"", ("logName",))) is None


def test_a_torn_stream_keeps_its_complete_entries():
    import gzip

    torn = gzip.compress(json.dumps([entry() for _ in range(400)]).encode())[:-30]
    with pytest.raises(TruncatedError):
        decode(torn, final=False)
    result = decode(torn)
    assert list(result.reasons.values()) == ["truncated"]
    assert len(result.rows) > 300


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.sampled_from(["10.0.0.1", "6", "2026-01-01T00:00:00Z", "SRC"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
PLACES = ["bytes_sent", "connection", "reporter", "src_instance", "dest_vpc", "start_time",
          "round_trip_time", "rtt_msec", "disposition", "new"]  # fmt: skip


@settings(max_examples=examples(50), deadline=None)
@given(
    payloads=st.lists(st.dictionaries(st.sampled_from(PLACES), VALUES, max_size=4), max_size=6),
    tops=st.dictionaries(
        st.sampled_from(["insertId", "resource", "logName", "labels", "x"]), VALUES
    ),
    columns=st.sampled_from([None, SLIM]),
)
def test_entries_of_any_content_become_rows_or_rejects(payloads, tops, columns):
    entries = [
        {**entry(), "jsonPayload": {**entry()["jsonPayload"], **p}, **tops} for p in payloads
    ]
    result = decode(entries, columns=columns)
    assert result.records == len(entries)


@pytest.mark.parametrize(
    "name", ["ktrans:line", "ktrans:line0", "ktrans:line2", "\x1f", 'a"b', "c\\d"]
)
@pytest.mark.parametrize("value", ["text", {"inner": 1}])
def test_members_of_any_name_arrive_in_attrs(name, value):
    """Names that the parser uses itself, or cannot use, change nothing for other entries."""
    plain = decode([entry(), entry()]).rows
    rows = decode([entry(), entry({name: value}), entry()]).rows
    assert [row | {"source_pos": 0} for row in (rows[0], rows[2])] == [
        row | {"source_pos": 0} for row in plain
    ]
    attrs, others = dict(rows[1]["attrs"]), dict(rows[0]["attrs"])
    text = value if isinstance(value, str) else '{"inner":1}'
    assert attrs == others | {f"jsonPayload.{name}": text}


def test_metadata_longer_than_is_remembered():
    """What is long is parsed anew each time, and comes out the same."""
    long = {"vm_name": "vm-" + "x" * 5000, "zone": "europe-west1-b"}
    rows = decode([entry({"src_instance": long})] * 3).rows
    assert [row["instance_id"] for row in rows] == [long["vm_name"]] * 3


@settings(max_examples=examples(50), deadline=None)
@given(data=st.binary(max_size=200), columns=st.sampled_from([None, SLIM]))
def test_garbage_raises_nothing_but_what_is_allowed(data, columns):
    good = json.dumps(entry()).encode() + b"\n"
    for text in (data, good + data, data + good):
        with contextlib.suppress(RejectError, TruncatedError):
            decode(text, columns=columns, final=False)


def test_batches_are_of_the_flow_schema(tmp_path):
    tables = decode(generated(tmp_path), limits=Limits(block_bytes=50_000)).tables
    assert pa.Table.from_batches(tables).unify_dictionaries().num_rows > 700


@pytest.mark.usefixtures("python_alone")
def test_a_member_that_another_thread_meets_meanwhile_does_no_harm(monkeypatch):
    """Whenever one thread looks up what members are known, another one learns more right after."""
    decoder = LOG.decoder(LOG.config(), Context())
    decoder.schema(None)

    def block(*lines):
        data = "".join(f"{line}\n" for line in lines).encode()
        [found] = decoder.blocks(BytesPayload(Split("k", "gs://bucket/object"), data))
        return found

    names = itertools.count()
    here = threading.current_thread()

    def learn_more():
        strange = {f"new_{next(names)}": 1}
        done = decoder.decode(block(json.dumps(entry(strange, **strange))))
        assert done.rejects is None

    class Watched:
        """The attribute, which changes as soon as it was read by this thread."""

        def __get__(self, reader, _owner):
            found = vars(reader)["kept"]
            if threading.current_thread() is here:
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(learn_more).result()
                assert vars(reader)["kept"] is not found
            return found

        def __set__(self, reader, members):
            vars(reader)["kept"] = members

    plain = json.dumps(entry())
    mixed = block(plain, "garbage", plain)
    reader = decoder._reader
    known = reader._members
    monkeypatch.setattr(_gcp_read.GcpReader, "_members", Watched(), raising=False)
    reader._members = known
    done = decoder.decode(mixed)
    assert (done.batch.num_rows, done.rejects.num_rows) == (2, 1)


@pytest.mark.parametrize("number", ["1", "1.0", "2.50", "1e2"])
@pytest.mark.parametrize("beside", ["", "garbage"])
def test_numbers_in_attrs_keep_their_spelling(number, beside):
    line = json.dumps(entry({"other": 0.125, "src_instance": {"weight": 0.125}}, load=0.125))
    row = decode(f"{line.replace('0.125', number)}\n{beside}".encode()).rows[0]
    attrs = dict(row["attrs"])
    assert attrs["load"] == attrs["jsonPayload.other"] == number
    assert attrs["jsonPayload.src_instance"] == f'{{"weight":{number}}}'
