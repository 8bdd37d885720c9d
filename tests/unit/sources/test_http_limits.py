"""The `http` source bounds what clients can cost, and answers when it cannot take more."""

import base64
import errno
import gzip
import json
import os
import ssl
import threading
import time
from asyncio.selector_events import _SelectorSocketTransport
from contextlib import closing, suppress
from http.client import HTTPSConnection
from types import SimpleNamespace

import pytest
import trustme

from ktrans.api import Budget, ConfigError, Context, SplitChangedError, UnavailableError, UsageError
from ktrans.kit.spool.segments import Spool
from ktrans.sources.http import HttpSource, HttpSourceConfig
from ktrans.sources.receiver import connection as connections
from ktrans.sources.receiver import tls as receiver_tls
from ktrans.sources.receiver.protocols import Answer, Ndjson, Received
from tests.unit.sources.receiving import BEARER, ENDPOINTS, TOKEN, Receiver, receiving

HEAD = f"POST /ndjson HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


def answer(client):
    """Return all that a server sends until it closes the connection."""
    with client:
        data = b""
        while piece := client.recv(65536):
            data += piece
    return data


def status(data):
    return int(data.split()[1])


class TestSizes:
    def test_a_large_body_is_refused_before_it_is_read(self, tmp_path):
        with receiving(tmp_path, max_body_size=1000) as receiver:
            client = receiver.raw(HEAD + b"Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
            assert status(answer(client)) == 413
            assert receiver.lines() == []

    def test_a_chunked_body_is_refused_once_it_is_too_large(self, tmp_path):
        with receiving(tmp_path, max_body_size=1000) as receiver:
            chunk = b"190\r\n" + b"x" * 0x190 + b"\r\n"
            client = receiver.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
            assert status(answer(client)) == 413
            assert receiver.lines() == []
            assert receiver.source._server.held == 0

    def test_a_body_that_inflates_to_too_much_is_refused(self, tmp_path):
        with receiving(tmp_path, max_inflated_size=1 << 20) as receiver:
            bomb = gzip.compress(bytes(50 << 20))
            assert receiver.post("/ndjson", bomb)[0] == 413
            assert receiver.post("/ndjson", gzip.compress(b"x" * (1 << 20)))[0] == 200

    def test_the_records_of_a_request_are_bounded_together(self, tmp_path):
        with receiving(tmp_path, max_inflated_size=1 << 20) as receiver:
            record = {"data": base64.b64encode(gzip.compress(b"x" * (600 << 10))).decode()}
            headers = {"X-Amz-Firehose-Access-Key": TOKEN, "X-Amz-Firehose-Request-Id": "1"}
            assert receiver.post("/firehose", {"records": [record]}, headers)[0] == 200
            headers["X-Amz-Firehose-Request-Id"] = "2"
            code, _, body = receiver.post("/firehose", {"records": [record] * 2}, headers)
            assert (code, json.loads(body)["requestId"]) == (413, "2")

    def test_a_large_head_is_refused(self, tmp_path):
        with receiving(tmp_path, max_header_size=2000) as receiver:
            client = receiver.raw(HEAD + b"X: " + b"y" * 4000)
            assert status(answer(client)) == 431
            assert receiver.post("/ndjson", b"x", {**BEARER, "X": "y" * 4000})[0] == 431
            assert receiver.post("/ndjson", b"x", {**BEARER, "X": "y" * 1000})[0] == 200

    @pytest.mark.parametrize(
        "text", [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"POST /\r\n\r\n"]
    )
    def test_what_is_not_http_is_refused(self, tmp_path, text):
        with receiving(tmp_path) as receiver:
            assert status(answer(receiver.raw(text + b"\r\n\r\n"))) == 400


class TestTime:
    def test_a_head_that_comes_slowly_is_given_up(self, tmp_path):
        with receiving(tmp_path, request_timeout=0.6) as receiver:
            began = time.monotonic()
            assert status(answer(receiver.raw(HEAD))) == 408
            assert time.monotonic() - began < 10

    def test_a_slow_client_that_leaves_at_the_moment_it_is_given_up(self, tmp_path, monkeypatch):
        def gone(self):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

        monkeypatch.setattr(_SelectorSocketTransport, "write_eof", gone)
        with receiving(tmp_path, request_timeout=0.2) as receiver:
            assert status(answer(receiver.raw(b"POST /ndj"))) == 408
            assert receiver.post("/ndjson", b"y")[0] == 200

    def test_a_body_that_comes_slowly_is_given_up_although_it_goes_on(self, tmp_path):
        with receiving(tmp_path, request_timeout=0.6) as receiver:
            client = receiver.raw(HEAD + b"Content-Length: 100000\r\n\r\n")
            over = threading.Event()

            def drip():
                try:
                    while not over.wait(0.05):
                        client.sendall(b"x")
                except OSError:
                    pass

            thread = threading.Thread(target=drip)
            thread.start()
            assert client.recv(65536).startswith(b"HTTP/1.1 408")
            over.set()
            thread.join()
            client.close()
            assert receiver.lines() == []

    def test_an_idle_connection_is_closed(self, tmp_path):
        with receiving(tmp_path, keep_alive=0.3) as receiver, closing(receiver.raw()) as client:
            assert client.recv(100) == b""

    def test_slow_clients_do_not_hold_others_up(self, tmp_path):
        with receiving(tmp_path, request_timeout=30) as receiver:
            slow = [receiver.raw(HEAD + b"Content-Length: 9\r\n\r\nx") for _ in range(200)]
            for number in range(20):
                assert receiver.post("/ndjson", b"%d" % number)[0] == 200
            for client in slow:
                client.close()
            assert len(receiver.lines()) == 20

    def test_a_client_that_breaks_off_leaves_nothing(self, tmp_path):
        with receiving(tmp_path) as receiver:
            receiver.raw(HEAD + b"Content-Length: 9\r\n\r\nx").close()
            chunk = b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc"
            receiver.raw(HEAD + chunk).close()
            assert receiver.post("/ndjson", b"whole")[0] == 200
            assert receiver.lines() == ["whole"]
            assert receiver.source._server.held == 0


class TestConnections:
    def test_requests_follow_each_other_on_a_connection(self, tmp_path):
        with receiving(tmp_path) as receiver, closing(receiver.connect()) as connection:
            for number in range(5):
                connection.request("POST", "/ndjson", b"line %d" % number, BEARER)
                response = connection.getresponse()
                assert (response.status, response.read()) == (200, b'{"status": "stored"}')
            assert receiver.lines() == [f"line {number}" for number in range(5)]

    def test_requests_that_are_sent_ahead_are_answered_in_order(self, tmp_path):
        one = HEAD + b"Content-Length: 2\r\n\r\n"
        last = one.replace(b"Host", b"Connection: close\r\nHost")
        with receiving(tmp_path) as receiver:
            client = receiver.raw(one + b"a\n" + one + b"b\n" + last + b"c\n")
            assert answer(client).count(b"HTTP/1.1 200") == 3
            assert receiver.lines() == ["a", "b", "c"]

    def test_the_answer_comes_to_a_client_that_has_shut_its_side(self, tmp_path):
        with receiving(tmp_path) as receiver:
            client = receiver.raw(HEAD + b"Content-Length: 2\r\n\r\nab")
            client.shutdown(1)
            assert status(answer(client)) == 200

    def test_there_are_only_so_many(self, tmp_path):
        with receiving(tmp_path, max_connections=3) as receiver:
            first = [receiver.raw() for _ in range(3)]
            data = answer(receiver.raw())
            assert status(data) == 503
            assert b"Retry-After" in data
            for client in first:
                client.close()
            until = time.monotonic() + 10
            while (code := receiver.post("/ndjson", b"x")[0]) == 503 and time.monotonic() < until:
                time.sleep(0.05)
            assert code == 200

    def test_a_request_in_flight_is_answered_when_the_source_closes(self, tmp_path):
        receiver = Receiver(tmp_path)
        client = receiver.raw(HEAD + b"Content-Length: 4\r\n\r\nab")
        idle = receiver.raw()
        receiver.post("/ndjson", b"first")
        closing_thread = threading.Thread(target=receiver.source.close)
        closing_thread.start()
        assert answer(idle) == b""
        client.sendall(b"cd")
        data = answer(client)
        closing_thread.join(20)
        assert status(data) == 200
        assert b"Connection: close" in data
        with receiving(tmp_path) as again:
            assert sorted(again.lines()) == ["abcd", "first"]

    def test_a_request_whose_client_has_left_when_the_source_closes(self, tmp_path, monkeypatch):
        """It is stored all the same, and what it would have been told is dropped."""
        waits, sync = threading.Event(), os.fsync

        def slow(handle):
            waits.set()
            time.sleep(0.3)
            sync(handle)

        receiver = Receiver(tmp_path)
        monkeypatch.setattr(os, "fsync", slow)
        client = receiver.raw(HEAD + b"Content-Length: 2\r\n\r\nab")
        assert waits.wait(20)
        client.close()
        receiver.source.close()
        monkeypatch.setattr(os, "fsync", sync)
        with receiving(tmp_path) as again:
            assert again.lines() == ["ab"]
        assert list(tmp_path.rglob("*.journal")) == []

    def test_a_defect_costs_one_request(self, tmp_path, monkeypatch, caplog):
        def broken(self, request, body):
            raise ZeroDivisionError

        with receiving(tmp_path) as receiver:
            with monkeypatch.context() as patched:
                patched.setattr(Ndjson, "read", broken)
                assert receiver.post("/ndjson", b"x")[0] == 500
            assert receiver.post("/ndjson", b"y")[0] == 200
            assert receiver.lines() == ["y"]
        assert "could not be answered" in caplog.text

    def test_an_answer_that_has_no_form_costs_one_connection(self, tmp_path, monkeypatch):
        broken = Received((), Answer(200, b"", (("X-Name", "caf\u00e9"),)))
        with receiving(tmp_path) as receiver:
            with monkeypatch.context() as patched:
                patched.setattr(Ndjson, "read", lambda *_: broken)
                client = receiver.raw(HEAD + b"Content-Length: 1\r\n\r\nx", timeout=5)
                with client, suppress(ConnectionError):
                    assert client.recv(100) == b""
            assert receiver.post("/ndjson", b"y")[0] == 200

    def test_connections_far_beyond_the_limit_are_closed_at_once(self, tmp_path):
        with receiving(tmp_path, max_connections=1) as receiver:
            clients = [receiver.raw() for _ in range(100)]
            until = time.monotonic() + 10
            while len(receiver.source._server._connections) > 66 and time.monotonic() < until:
                time.sleep(0.02)
            assert len(receiver.source._server._connections) <= 66
            for client in clients:
                client.close()


class TestBackPressure:
    def test_a_full_spool_is_503_until_there_is_room(self, tmp_path):
        with receiving(tmp_path, max_spool_size=5) as receiver:
            assert receiver.post("/ndjson", b"12345")[0] == 200
            code, headers, _ = receiver.post("/ndjson", b"6")
            assert (code, headers["Retry-After"]) == (503, "10")
            assert receiver.post("/healthz", method="GET")[0] == 503
            assert receiver.lines() == ["12345"]
            assert receiver.lines() == []  # the segment is removed now
            time.sleep(0.6)
            assert receiver.post("/ndjson", b"6")[0] == 200
            assert receiver.lines() == ["6"]

    def test_bodies_in_flight_are_bounded(self, tmp_path):
        with receiving(tmp_path, max_held_size=1 << 20) as receiver:
            client = receiver.raw(HEAD + b"Content-Length: 9000000\r\n\r\n" + bytes(2 << 20))
            assert status(client.recv(65536)) == 503
            client.close()

    def test_what_bodies_inflate_to_is_bounded_too(self, tmp_path, monkeypatch):
        """Bodies that arrive before others have been inflated wait as they came."""
        body, codes = gzip.compress(bytes(700_000)), []
        go, disk = threading.Event(), threading.Event()
        read, sync = Ndjson.read, os.fsync

        def post(receiver):
            codes.append(receiver.post("/ndjson", body, {**BEARER, "Content-Encoding": "gzip"})[0])

        with receiving(tmp_path, max_held_size=1 << 20) as receiver:
            server = receiver.source._server
            monkeypatch.setattr(Ndjson, "read", lambda *given: go.wait(20) and read(*given))
            monkeypatch.setattr(os, "fsync", lambda file: disk.wait(20) and sync(file))
            threads = [threading.Thread(target=post, args=(receiver,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            until = time.monotonic() + 20
            while server.held < 8 * len(body) and time.monotonic() < until:
                time.sleep(0.01)
            go.set()
            while len(codes) < 5 and time.monotonic() < until:
                time.sleep(0.01)
            disk.set()
            for thread in threads:
                thread.join()
            assert sorted(set(codes)) == [200, 503]
            assert codes.count(200) <= 3  # one beyond the limit for each thread that inflates

    def test_a_disk_that_fails_is_503_and_what_follows_is_whole(self, tmp_path, monkeypatch):
        with receiving(tmp_path, segment_age=0.5) as receiver:
            assert receiver.post("/ndjson", b"before")[0] == 200
            sync = os.fsync

            def full(handle):
                raise OSError(errno.ENOSPC, "No space left on device")

            monkeypatch.setattr(os, "fsync", full)
            code, headers, _ = receiver.post("/ndjson", b"lost", {**BEARER, "Idempotency-Key": "1"})
            assert (code, headers["Retry-After"]) == (503, "10")
            monkeypatch.setattr(os, "fsync", sync)
            for _ in range(2):
                headers = {**BEARER, "Idempotency-Key": "1"}
                assert receiver.post("/ndjson", b"after", headers)[0] == 200
            assert receiver.lines() == ["before", "after"]

    @pytest.mark.parametrize("fails", ["replace", "fsync of the folder"])
    def test_a_segment_that_cannot_be_finished_is_finished_later(
        self, tmp_path, monkeypatch, fails
    ):
        finish, times = Spool._finish, []

        def full(spool, path, segment):
            times.append(segment)
            if len(times) < 3:
                if fails != "replace":
                    path.rename(spool.path(segment)) if len(times) == 1 else None
                raise OSError(errno.ENOSPC, "No space left on device")
            finish(spool, path, segment)

        monkeypatch.setattr(Spool, "_finish", full)
        with receiving(tmp_path, segment_age=0.1) as receiver:
            intake, said = receiver.source._intake, []
            health = SimpleNamespace(failed=said.append, works=lambda: said.append("works"))
            intake._context = SimpleNamespace(health=health, log=intake._context.log)
            assert receiver.post("/ndjson", b"before")[0] == 200
            codes = []
            until = time.monotonic() + 20
            while 200 not in codes and time.monotonic() < until:
                time.sleep(0.15)
                codes.append(receiver.post("/ndjson", b"after")[0])
            assert set(codes) <= {200, 503}
            assert receiver.lines() == ["before", "after"]
            assert said[-1] == "works"
            assert len(said) > 1

    def test_many_requests_share_a_wait_for_the_disk(self, tmp_path, monkeypatch):
        sync, waits = os.fsync, []

        def slow(handle):
            waits.append(handle)
            time.sleep(0.02)
            sync(handle)

        with receiving(tmp_path, segment_age=30) as receiver:
            monkeypatch.setattr(os, "fsync", slow)
            threads = [
                threading.Thread(target=receiver.post, args=("/ndjson", b"x")) for _ in range(60)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(waits) < 60
            receiver.restart()
            assert receiver.lines() == ["x"] * 60


class TestTls:
    @pytest.fixture
    def files(self, tmp_path):
        authority = trustme.CA()
        server = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
        server.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
        for number, part in enumerate(server.cert_chain_pems):
            part.write_to_path(str(tmp_path / "tls.crt"), append=number > 0)
        authority.issue_cert("client@example.com").private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / "client.pem")
        )
        return {"certificate_file": "tls.crt", "key_file": "tls.key"}

    def post(self, receiver, folder, client=None):
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        if client:
            context.load_cert_chain(folder / client)
        port = receiver.source.port
        with closing(HTTPSConnection("127.0.0.1", port, context=context, timeout=20)) as one:
            one.request("POST", "/ndjson", b"secret", BEARER)
            response = one.getresponse()
            return response.status, response.read()

    def test_requests_come_over_tls(self, tmp_path, files):
        with receiving(tmp_path, tls=files) as receiver:
            assert self.post(receiver, tmp_path)[0] == 200
            assert receiver.lines() == ["secret"]

    def test_clients_can_be_asked_for_certificates(self, tmp_path, files):
        files["client_ca_file"] = "ca.crt"
        with receiving(tmp_path, tls=files) as receiver:
            with pytest.raises(OSError):
                self.post(receiver, tmp_path)
            assert self.post(receiver, tmp_path, "client.pem")[0] == 200

    def test_a_wrong_key_is_a_config_error(self, tmp_path, files):
        files["key_file"] = "ca.crt"
        with pytest.raises(ConfigError) as caught:
            Receiver(tmp_path, tls=files)
        assert caught.value.code == "bad_certificate"

    @pytest.mark.parametrize("text", ["", None])
    def test_authorities_that_cannot_be_read_are_named(self, tmp_path, files, text):
        files["client_ca_file"] = "clients.crt"
        if text is not None:
            (tmp_path / "clients.crt").write_text(text)
        with pytest.raises(ConfigError, match=r"clients\.crt") as caught:
            Receiver(tmp_path, tls=files)
        assert caught.value.code == "bad_certificate"
        assert "client_ca_file" in caught.value.hint

    def test_the_old_certificate_stays_until_there_is_a_whole_new_one(
        self, tmp_path, files, monkeypatch, caplog
    ):
        monkeypatch.setattr(receiver_tls, "_CHECK_SECS", 0.0)
        new = trustme.CA().issue_cert("127.0.0.1")
        with receiving(tmp_path, tls=files) as receiver:
            certificate = (tmp_path / "tls.crt").read_bytes()
            new.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
            until = time.monotonic() + 10
            while "old one stays" not in caplog.text and time.monotonic() < until:
                time.sleep(0.05)
            assert "old one stays" in caplog.text
            assert self.post(receiver, tmp_path)[0] == 200
            (tmp_path / "tls.crt").write_bytes(certificate)
            assert self.post(receiver, tmp_path)[0] == 200


class TestRuns:
    def build(self, folder, listen=":0"):
        config = HttpSourceConfig(listen=listen, endpoints=ENDPOINTS)
        return HttpSource(config, Context("site", "source", base_dir=folder))

    def test_a_preview_shows_what_waits_and_leaves_it(self, tmp_path):
        with receiving(tmp_path) as receiver:
            receiver.post("/ndjson", b"waits")
        config = HttpSourceConfig(listen=":0", endpoints=ENDPOINTS)
        context = Context("site", "source", base_dir=tmp_path, ephemeral=True)
        for _ in range(2):
            with HttpSource(config, context) as source:
                plan = source.plan(None, receiver.memory, Budget())
                assert len(plan.splits) == 1
                assert source.port is None
        with receiving(tmp_path) as again:
            assert again.lines() == ["waits"]

    def test_a_port_that_is_taken(self, tmp_path):
        with receiving(tmp_path) as receiver:
            other = self.build(tmp_path / "other", listen=f":{receiver.source.port}")
            with other, pytest.raises(UnavailableError) as caught:
                other.listen(1)
            assert caught.value.code == "cannot_listen"

    def test_reset_forgets_requests_and_ids(self, tmp_path):
        headers = {**BEARER, "Idempotency-Key": "1"}
        with receiving(tmp_path) as receiver:
            receiver.post("/ndjson", b"gone", headers)
        receiver.source.reset()
        with receiving(tmp_path) as again:
            assert again.lines() == []
            again.post("/ndjson", b"new", headers)
            assert again.lines() == ["new"]

    def test_it_cannot_go_back(self, tmp_path):
        source = self.build(tmp_path)
        with pytest.raises(UsageError):
            source.check_rewind()
        with pytest.raises(UsageError):
            source.position_from("0")

    def test_a_segment_that_is_gone(self, tmp_path):
        with receiving(tmp_path) as receiver:
            receiver.post("/ndjson", b"x")
            plan = None
            while plan is None:
                plan = receiver.source.plan(None, receiver.memory, Budget())
            for path in tmp_path.rglob("*.seg"):
                path.unlink()
            with pytest.raises(SplitChangedError):
                receiver.source.open(plan.splits[0])


class TestConfig:
    @pytest.mark.parametrize(
        "options",
        [
            {"listen": "8088"},
            {"listen": ":70000"},
            {"endpoints": []},
            {"endpoints": [{"path": "flows", "protocol": "ndjson"}]},
            {"endpoints": [{"path": "/a", "protocol": "http"}]},
            {"endpoints": [{"path": "/a", "protocol": "ndjson", "tokens": [""]}]},
            {"endpoints": [{"path": "/a", "protocol": "ndjson"}] * 2},
        ],
    )
    def test_wrong_options(self, options):
        with pytest.raises(ValueError):
            HttpSourceConfig(**{"endpoints": ENDPOINTS, **options})

    @pytest.mark.parametrize(
        ("options", "codes"),
        [
            ({"listen": ":8088"}, []),
            ({"listen": "localhost:8088"}, []),
            ({"listen": "0.0.0.0:8088"}, ["open_endpoint", "no_tls"]),
            ({"listen": "[::]:8088", "endpoints": ENDPOINTS}, ["no_tls"]),
            (
                {
                    "listen": "0.0.0.0:8088",
                    "tls": {"certificate_file": "a", "key_file": "b", "client_ca_file": "c"},
                },
                [],
            ),
        ],
    )
    def test_what_is_open_to_everyone_is_remarked(self, options, codes):
        plain = [{"path": "/a", "protocol": "ndjson"}]
        config = HttpSourceConfig(**{"endpoints": plain, **options})
        assert [one.code for one in config.remarks()] == codes


def test_the_rest_of_a_refused_request_is_read_for_a_while_only(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "LINGER_SECS", 0.2)
    with receiving(tmp_path, max_body_size=10) as receiver:
        client = receiver.raw(HEAD + b"Content-Length: 99999999\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 413")
        with client, pytest.raises(OSError):  # noqa: PT012 - which one depends on the moment
            until = time.monotonic() + 20
            while time.monotonic() < until:
                client.sendall(bytes(4096))
                time.sleep(0.02)
