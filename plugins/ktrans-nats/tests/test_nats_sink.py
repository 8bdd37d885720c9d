"""The nats sink on real servers: what messages look like, what is there once, what is refused."""

import json
import socket
import subprocess
import threading
import time

import pyarrow as pa
import pytest
from ktrans_nats.sink import NatsSink

from ktrans.api import (
    AccessError,
    ConfigError,
    Context,
    RetryableError,
    RunError,
    UnavailableError,
)
from ktrans.kit.flow import FLOW_SCHEMA
from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts.sinks import EPOCH, FIRST, SCHEMA, SECOND, numbers, run
from ktrans.testing.hostile import hostile_rows
from tests.services.nats import NatsServer

pytestmark = pytest.mark.service("nats")


def test_messages_carry_their_row_and_what_they_take_from_it(stream, build):
    sink = build(
        stream,
        subject=f"{stream.subject}.{{account}}",
        headers={"producer": "ktrans"},
        header_columns=["account"],
    )
    sink.prepare(EPOCH)
    writer = sink.writer(FIRST)
    accounts = pa.array(["a", None, "b.c d\r\nx: y"]).dictionary_encode()
    writer.write(writer.encode(pa.record_batch([accounts, pa.array([1, 2, 3])], schema=SCHEMA)))
    sink.commit(EPOCH, [writer.finish()])
    found = stream.messages()
    ours = [{k: v for k, v in m.headers.items() if not k.startswith("Nats-")} for m in found]
    assert [m.subject.removeprefix(stream.subject) for m in found] == [
        ".a",
        ".unknown",
        ".b_c_d__x:_y",
    ]
    assert ours == [
        {"producer": "ktrans", "account": "a"},
        {"producer": "ktrans"},
        {"producer": "ktrans", "account": "b.c d__x: y"},
    ]
    assert [json.loads(m.data)["n"] for m in found] == [1, 2, 3]
    assert not any(m.data.endswith(b"\n") for m in found)


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_any_row_arrives_or_is_refused(stream, build, delivery):
    schema = FLOW_SCHEMA
    columns = ["provider", "src_addr", "action"]
    sink = build(
        stream,
        schema,
        subject=f"{stream.subject}.{{account_id}}.{{interface_id}}",
        header_columns=columns,
        delivery=delivery,
        max_message_size=100_000,
    )
    rows = hostile_rows(schema, {"src_addr": "10.0.0.1", "dst_addr": "10.0.0.2"})
    sink.prepare(EPOCH)
    writer = sink.writer(FIRST)
    writer.write(writer.encode(rows))
    receipt = writer.finish()
    refused = sum(one.rows.num_rows for one in writer.refused())
    sink.commit(EPOCH, [receipt])
    found = stream.messages()
    assert receipt.rows + refused == rows.num_rows
    assert len(found) == receipt.rows > refused > 0
    assert all(m.subject.count(".") == stream.subject.count(".") + 2 for m in found)


def test_rows_together_make_files(stream, build, publish):
    sink = build(stream, format={"type": "arrow"}, rows_per_message=25, batch_messages=3)
    publish(sink, FIRST)
    found = [pa.ipc.open_stream(m.data).read_all() for m in stream.messages()]
    assert [table.num_rows for table in found] == [25, 15] * 3
    assert sorted(pa.concat_tables(found)["n"].to_pylist()) == numbers(FIRST)


def test_a_commit_that_stopped_half_way_goes_on_where_it_was(stream, build):
    """Also if the batches have another size then."""
    sink = build(stream, batch_messages=11)
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST), run(sink, SECOND)]
    stream.set("UPDATE", allow_atomic=True, max_msgs=60, discard="new")
    with pytest.raises(RetryableError) as caught:
        build(stream, batch_messages=11, retry_time=0.1).commit(EPOCH, receipts)
    assert caught.value.code == "jetstream_full"
    before = stream.count()
    assert 11 <= before <= 60
    stream.set("UPDATE", allow_atomic=True, max_msgs=-1, discard="new")
    build(stream, batch_messages=40).commit(EPOCH, receipts)
    assert stream.numbers() == numbers(FIRST, SECOND)


def test_what_is_there_is_not_sent_again_by_whoever_does_not_know_it(stream, build, tmp_path):
    """The notes of what was delivered are gone, as on another machine."""
    receipts = []
    for folder in ("one", "two"):
        sink = build(stream, folder=tmp_path / folder, batch_messages=11)
        sink.prepare(EPOCH)
        receipts = [run(sink, FIRST), run(sink, SECOND)]
        sink.commit(EPOCH, receipts)
    assert stream.numbers() == numbers(FIRST, SECOND)


def test_a_server_that_goes_away_and_comes_back_is_waited_for(make_stream, build):
    server = NatsServer()
    try:
        stream = make_stream(server)
        sink = build(stream, retry_time=30, batch_messages=20)
        sink.prepare(EPOCH)
        receipts = [run(sink, FIRST)]
        server.stop()
        timer = threading.Timer(1.0, server.start)
        timer.start()
        sink.commit(EPOCH, receipts)
        timer.join()
        assert stream.numbers() == numbers(FIRST)
        server.stop()
        begun = time.monotonic()
        again = build(stream, retry_time=0.1, name="other")
        again.prepare(EPOCH)
        with pytest.raises(RetryableError) as caught:
            again.commit(EPOCH, [run(again, FIRST)])
        assert caught.value.code == "unreachable"
        assert time.monotonic() - begun < 5
    finally:
        server.close()


def test_options_that_make_other_messages_of_rows_that_are_there_are_told(stream, build, tmp_path):
    first = build(stream, rows_per_message=30, batch_messages=2, folder=tmp_path / "a")
    first.prepare(EPOCH)
    stream.set("UPDATE", allow_atomic=True, max_msgs=3, discard="new")
    with pytest.raises(RetryableError):
        first.commit(EPOCH, [run(first, FIRST)])
    stream.set("UPDATE", allow_atomic=True, max_msgs=-1, discard="new")
    second = build(stream, rows_per_message=40, folder=tmp_path / "b")
    second.prepare(EPOCH)
    with pytest.raises(RunError) as caught:
        second.commit(EPOCH, [run(second, FIRST)])
    assert caught.value.code == "batch_mismatch"


class TestCheck:
    def test_all_is_well_and_nothing_is_written(self, stream, build):
        build(stream, subject=f"{stream.subject}.x-{{account}}.y").check()
        build(stream, delivery="at_least_once").check()
        assert stream.count() == 0

    @pytest.mark.parametrize(
        ("settings", "options", "code", "field", "hint"),
        [
            ({}, {"stream": "NOPE"}, "jetstream_missing", "stream", "stream add NOPE"),
            ({}, {"subject": "else.x"}, "subject_not_in_stream", "subject", "else.x"),
            ({}, {"marks": "else.marks"}, "subject_not_in_stream", "marks", "else.marks"),
            ({"allow_atomic": False}, {}, "no_atomic_batches", "delivery", "--allow-batch"),
            ({"retention": "interest"}, {}, "marks_not_kept", "delivery", "limits"),
            ({}, {"mark_ttl": "1d"}, "marks_not_kept", "mark_ttl", "--allow-msg-ttl"),
            ({"max_msg_size": 5000}, {}, "max_payload", "max_message_size", "4700"),
            ({}, {"max_message_size": "2 MB"}, "max_payload", "max_message_size", "1048276"),
        ],
    )
    def test_what_is_wrong_is_told_with_what_mends_it(
        self, make_stream, build, settings, options, code, field, hint
    ):
        stream = make_stream(**{"allow_atomic": True, **settings})
        with pytest.raises(ConfigError) as caught:
            build(stream, **options).check()
        assert (caught.value.code, caught.value.field) == (code, field)
        assert hint in caught.value.hint

    def test_a_run_finds_the_same(self, make_stream, build, publish):
        for settings, options, code in [
            ({"allow_atomic": False}, {}, "no_atomic_batches"),
            ({}, {"subject": "else.{account}"}, "subject_not_in_stream"),
            ({}, {"marks": "else.marks"}, "subject_not_in_stream"),
            ({}, {"subject": "else", "delivery": "at_least_once"}, "subject_not_in_stream"),
        ]:
            stream = make_stream(**{"allow_atomic": True, **settings})
            with pytest.raises(ConfigError) as caught:
                publish(build(stream, **options), FIRST)
            assert caught.value.code == code

    def test_marks_with_a_time_to_live(self, make_stream, build, publish):
        stream = make_stream(allow_msg_ttl=True)
        sink = build(stream, mark_ttl="1h")
        sink.check()
        publish(sink, FIRST)
        assert stream.numbers() == numbers(FIRST)

    def test_a_server_that_is_away(self, stream, build):
        with pytest.raises(UnavailableError):
            build(stream, servers=["nats://127.0.0.1:1"], retry_time=0.1).check()


@pytest.fixture(scope="module")
def guarded():
    rights = (
        '{publish: ["*.flows", "*.marks.>", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*"],'
        ' subscribe: ["_INBOX.>"]}'
    )
    few = '{publish: ["*.flows", "$JS.API.STREAM.MSG.GET.*"], subscribe: ["_INBOX.>"]}'
    server = NatsServer(
        "authorization { users: [",
        "  {user: admin, password: admin},",
        f"  {{user: ktrans, password: sesame, permissions: {rights}}},",
        f"  {{user: few, password: sesame, permissions: {few}}}",
        "] }",
    )
    yield server
    server.close()


class TestRights:
    """Who may connect, and what they may do."""

    def test_a_user_with_the_rights_of_the_readme(self, guarded, make_stream, build, publish):
        stream = make_stream(guarded, login={"user": "admin", "password": "admin"})
        sink = build(stream, username="ktrans", password="sesame")
        sink.check()
        publish(sink, FIRST)
        assert stream.numbers() == numbers(FIRST)

    def test_a_wrong_password_is_told_without_it(self, guarded, make_stream, build, publish):
        stream = make_stream(guarded, login={"user": "admin", "password": "admin"})
        sink = build(stream, username="ktrans", password="open-barley")
        for fails in (sink.check, lambda: publish(sink, FIRST)):
            with pytest.raises(AccessError) as caught:
                fails()
            assert "open-barley" not in repr(caught.value.__dict__) + str(caught.value)

    @pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
    def test_a_right_that_is_missing_is_named(self, guarded, make_stream, build, publish, delivery):
        stream = make_stream(guarded, login={"user": "admin", "password": "admin"})
        options = {"username": "few", "password": "sesame", "timeout": 1, "retry_time": 0.1}
        sink = build(stream, subject=f"{stream.name}.other", delivery=delivery, **options)
        with pytest.raises(AccessError) as caught:
            publish(sink, FIRST)
        assert "publish to" in caught.value.message.lower()
        with pytest.raises(AccessError):
            sink.check()

    def test_a_token_and_a_key(self, make_stream, build, publish, tmp_path):
        import os

        import nkeys

        seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        (tmp_path / "user.nk").write_bytes(seed)
        public = nkeys.from_seed(bytearray(seed)).public_key.decode()
        for lines, login, options in [
            (["authorization { token: s3cret }"], {"token": "s3cret"}, {"token": "s3cret"}),
            (
                [f"authorization {{ users: [{{nkey: {public}}}] }}"],
                {"nkeys_seed_str": seed.decode()},
                {"nkey_file": "user.nk"},
            ),
        ]:
            server = NatsServer(*lines)
            try:
                stream = make_stream(server, login=login)
                sink = build(stream, name=next(iter(options)), **options)
                sink.check()
                publish(sink, FIRST)
                assert stream.numbers() == numbers(FIRST)
                with pytest.raises(AccessError):
                    build(stream).check()
            finally:
                server.close()

    def test_files_that_are_not_there(self, stream, build):
        for option in ("credentials_file", "nkey_file"):
            with pytest.raises(ConfigError) as caught:
                build(stream, **{option: "nope"}).check()
            assert (caught.value.code, caught.value.field) == ("nats_login", option)

    def test_encryption(self, make_stream, build, publish, tmp_path, monkeypatch):
        key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
        subprocess.run(
            [
                *[
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-days",
                    "2",
                    "-subj",
                    "/CN=127.0.0.1",
                ],
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-keyout",
                str(key),
                "-out",
                str(certificate),
            ],
            check=True,
            capture_output=True,
        )
        server = NatsServer(f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}')
        try:
            import ssl

            login = {"tls": ssl.create_default_context(cafile=str(certificate))}
            stream = make_stream(server, login=login)
            sink = build(stream, tls_ca_file="cert.pem")
            sink.check()
            publish(sink, FIRST)
            assert stream.numbers() == numbers(FIRST)
            with pytest.raises(AccessError) as caught:
                build(stream, tls=True).check()
            assert caught.value.code == "nats_tls"
        finally:
            server.close()

    def test_no_secret_is_sent_to_a_server_that_does_not_encrypt(self, stream, build):
        sink = build(stream, tls=True, username="ktrans", password="sesame")
        with pytest.raises(ConfigError) as caught:
            sink.check()
        assert caught.value.code == "not_encrypted"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"subject": "{account}.x"}, "fixed text"),
        ({"subject": "a..b"}, "empty"),
        ({"subject": "a.>"}, "tokens"),
        ({"marks": "a.{account}"}, "no columns"),
        ({"servers": ["nats://u:p@host"]}, "their options"),
        ({"servers": ["http://host"]}, "nats://"),
        ({"token": "a", "nkey_file": "b"}, "one of"),
        ({"username": "a"}, "together"),
        ({"headers": {"Nats-Msg-Id": "x"}}, "cannot name a header"),
        ({"headers": {"a": "x\ny"}}, "control"),
        ({"rows_per_message": 5, "subject": "a.{account}"}, "one row"),
        ({"rows_per_message": 5, "header_columns": ["account"]}, "one row"),
    ],
)
def test_options_that_do_not_fit(options, why):
    raw = {"type": "nats", "servers": ["nats://h"], "stream": "S", "subject": "s", **options}
    with pytest.raises(Exception, match=why):
        Catalogue().config("sink", raw)


def test_a_column_that_is_missing():
    catalogue = Catalogue()
    raw = {"type": "nats", "servers": ["nats://h"], "stream": "S", "subject": "s.{nope}"}
    with pytest.raises(ConfigError) as caught:
        NatsSink(catalogue.config("sink", raw), Context(registry=catalogue)).bind(SCHEMA)
    assert caught.value.field == "subject"


def test_a_server_that_says_nothing_is_told_with_what_to_do(stream, build):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UnavailableError, match="in time") as caught:
            build(stream, servers=[f"nats://127.0.0.1:{port}"], timeout=0.5).check()
    assert "timeout" in caught.value.hint
