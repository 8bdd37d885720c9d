"""The dns enricher against a DNS server that is slow, fails, cuts off or says nothing."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pyarrow as pa
import pytest
from ktrans_dns.answers import Answer, DiskCache
from ktrans_dns.enricher import DnsEnricher, DnsEnricherConfig
from ktrans_dns.names import Names
from ktrans_dns.resolver import server_of
from pydantic import ValidationError

from ktrans.api import ConfigError, Context, UnavailableError
from ktrans.flow.schema import TEXT
from ktrans.testing.clock import MovableClock
from ktrans.testing.contracts import EnricherContract


def rows(*src, dst=None, kind=TEXT):
    columns = {"src_addr": src, "dst_addr": dst or [None] * len(src)}
    return pa.record_batch({name: pa.array(values, kind) for name, values in columns.items()})


def make(server, folder, **options):
    options = {"cache": "cache", "wait": 5, "timeout": 1, "rate": 5000, **options}
    clock = options.pop("clock", MovableClock())
    config = DnsEnricherConfig(servers=[server.address], **options)
    return DnsEnricher(config, Context(base_dir=folder, clock=clock))


def names(enricher, batch, column="src_dns"):
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    out.validate(full=True)
    return out[column].to_pylist()


def until(condition):
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize("kind", [TEXT, pa.string()])
def test_names_of_all_kinds_of_answers(dns_server, tmp_path, kind):
    with make(dns_server, tmp_path) as enricher:
        batch = rows(
            "10.0.0.7", "fd00::9", "10.0.1.1", "10.0.3.1", "10.0.4.1", "10.0.6.1", "10.0.8.5", "10.0.9.1",
            "no address", None, "8.8.8.8", "10.0.0.7", dst=["10.0.0.8", *[None] * 11], kind=kind,
        )  # fmt: skip
        assert names(enricher, batch) == [
            "host-7.example.net", "host-9.example.net", None, None, "a-rather-long-name-001.example.net",
            None, "host-5.example.net", r"we\"ird\000\.\255.example.net", None, None, None, "host-7.example.net",
        ]  # fmt: skip
        assert names(enricher, batch, "dst_dns")[0] == "host-8.example.net"
    assert not any("8.8.8.8" in name for name in dns_server.asked)
    assert max(dns_server.asked[f"{n}.in-addr.arpa."] for n in ("7.0.0.10", "1.1.0.10")) == 1


def test_public_addresses_are_asked_for_only_if_that_is_wanted(dns_server, tmp_path):
    with make(dns_server, tmp_path, private_only=False) as enricher:
        assert names(enricher, rows("8.8.8.8")) == ["host-8.example.net"]


def test_what_is_late_is_null_and_there_for_later_rows(dns_server, tmp_path):
    with make(dns_server, tmp_path, wait=0.2, timeout=5) as enricher:
        began = time.monotonic()
        assert names(enricher, rows("10.0.2.1", "10.0.0.1")) == [None, "host-1.example.net"]
        assert time.monotonic() - began < 1.4
        until(lambda: names(enricher, rows("10.0.2.1")) == ["host-1.example.net"])
    assert dns_server.asked["1.2.0.10.in-addr.arpa."] == 1


@pytest.mark.parametrize("address", ["10.0.5.1", "10.0.7.1", "10.0.3.1"])
def test_a_failure_is_not_asked_again_for_a_minute(dns_server, tmp_path, address):
    clock = MovableClock()
    with make(dns_server, tmp_path, timeout=0.3, clock=clock) as enricher:
        assert names(enricher, rows(address)) == [None]
        before = dns_server.asked
        assert names(enricher, rows(address)) == [None]
        assert dns_server.asked == before
        clock.advance(61)
        names(enricher, rows(address))
        until(lambda: dns_server.asked != before)


def test_batches_do_not_wait_while_no_server_answers(dns_server, tmp_path, caplog):
    dns_server.stop()
    with make(dns_server, tmp_path, timeout=0.2, wait=30) as enricher:
        first = [f"10.0.0.{n}" for n in range(60)]
        began = time.monotonic()
        assert names(enricher, rows(*first)) == [None] * 60
        assert names(enricher, rows("10.0.0.99")) == [None]
        assert time.monotonic() - began < 10
        assert "no server answers" in caplog.text
        dns_server.start()
        caplog.set_level("INFO")
        until(
            lambda: names(enricher, rows(*[f"10.0.0.{n}" for n in range(100, 250)]))[-1] is not None
        )
        assert "a server answers again" in caplog.text


def test_the_rate_is_bounded(dns_server, tmp_path):
    with make(dns_server, tmp_path, rate=20, wait=1) as enricher:
        some = [f"10.0.0.{n}" for n in range(200)]
        found = names(enricher, rows(*some))
        assert 10 <= sum(name is not None for name in found) <= 22
        assert sum(dns_server.asked.values()) <= 23


def test_names_are_kept_on_disk_for_the_next_run_and_no_longer_than_they_live(dns_server, tmp_path):
    clock = MovableClock()
    batch = rows("10.0.0.1", "10.0.1.1", "10.0.3.1")
    expected = ["host-1.example.net", None, None]
    with make(dns_server, tmp_path, clock=clock) as enricher:
        assert names(enricher, batch) == expected
    before = dns_server.asked
    with make(dns_server, tmp_path, clock=clock) as enricher:
        assert names(enricher, batch.slice(0, 2)) == expected[:2]
        assert dns_server.asked == before
        clock.advance(901)  # the time of "no such name", by its SOA record
        assert names(enricher, batch.slice(0, 2)) == expected[:2]
        until(lambda: dns_server.asked["1.1.0.10.in-addr.arpa."] == 2)
        assert dns_server.asked["1.0.0.10.in-addr.arpa."] == 1
        clock.advance(3600)
    dns_server.stop()
    with make(dns_server, tmp_path, clock=clock, timeout=0.2) as enricher:
        assert names(enricher, batch.slice(0, 1)) == expected[:1], (
            "an expired name is used once more"
        )
        clock.advance(hours=26)
        assert names(enricher, batch.slice(0, 1)) == [None]
    assert (tmp_path / "cache" / "dns.sqlite").stat().st_mode & 0o77 == 0


def test_the_cache_on_disk_forgets_also_during_a_long_run(tmp_path):
    cache = DiskCache(tmp_path / "cache", 0.0)
    for hour in range(60):
        cache.put([(f"10.0.0.{hour}", Answer("host", 3600.0 * hour))], 3600.0 * hour)
    known = cache.get([f"10.0.0.{hour}" for hour in range(60)])
    cache.close()
    assert 20 < len(known) < 30


@pytest.mark.parametrize("damage", ["content", "folder"])
def test_a_cache_that_cannot_be_used_is_replaced_or_done_without(
    dns_server, tmp_path, damage, caplog
):
    (tmp_path / "cache").mkdir()
    if damage == "content":
        (tmp_path / "cache" / "dns.sqlite").write_bytes(b"not a database" * 1000)
    else:
        (tmp_path / "cache").rmdir()
        (tmp_path / "cache").write_text("a file")
    with make(dns_server, tmp_path) as enricher:
        assert names(enricher, rows("10.0.0.1")) == ["host-1.example.net"]
    if damage == "content":
        with sqlite3.connect(tmp_path / "cache" / "dns.sqlite") as kept:
            assert kept.execute("SELECT name FROM names").fetchall() == [("host-1.example.net",)]
    else:
        assert "cannot be used" in caplog.text


def test_a_user_without_a_home_folder_has_a_cache_in_memory(dns_server, tmp_path, caplog):
    with make(dns_server, tmp_path, cache="~nobody-of-that-name/cache") as enricher:
        assert names(enricher, rows("10.0.0.7")) == ["host-7.example.net"]
    assert "the cache on disk cannot be used: there is no home folder" in caplog.text


def test_a_cache_that_another_thread_gives_up_meanwhile(dns_server, tmp_path, monkeypatch):
    with make(dns_server, tmp_path) as enricher:
        assert names(enricher, rows("10.0.0.1")) == ["host-1.example.net"]
        seen = [enricher._names._disk]  # there when it is looked for, and then not
        with monkeypatch.context() as patched:
            once = property(lambda _: seen.pop() if seen else None)
            patched.setattr(Names, "_disk", once, raising=False)
            assert names(enricher, rows("10.0.0.2")) == ["host-2.example.net"]


def test_a_preview_leaves_no_trace_and_null_keeps_names_in_memory(dns_server, tmp_path):
    config = DnsEnricherConfig(servers=[dns_server.address], cache="cache", wait=5)
    with DnsEnricher(config, Context(base_dir=tmp_path, ephemeral=True)) as enricher:
        assert names(enricher, rows("10.0.0.1")) == ["host-1.example.net"]
    with make(dns_server, tmp_path, cache=None) as enricher:
        assert names(enricher, rows("10.0.0.1")) == ["host-1.example.net"]
    assert not list(tmp_path.iterdir())


def test_the_check_says_whether_a_server_answers(dns_server, tmp_path):
    make(dns_server, tmp_path).check()
    dns_server.stop()
    with pytest.raises(UnavailableError) as away:
        make(dns_server, tmp_path, timeout=0.3).check()
    assert away.value.code == "dns_silent"


def test_options(tmp_path):
    assert server_of("10.0.0.2") == ("10.0.0.2", 53)
    assert server_of("[2001:db8::53]:5353") == ("2001:db8::53", 5353)
    assert server_of("2001:db8::53") == ("2001:db8::53", 53)
    for bad in ("ns.example.net", "10.0.0.2:x", "10.0.0.2:70000", ""):
        with pytest.raises(ValidationError):
            DnsEnricherConfig(servers=[bad])
    with pytest.raises(ValidationError):
        DnsEnricherConfig(naming="name")
    with pytest.raises(ValidationError, match=r"min_ttl \(2d\) is longer than max_ttl \(1d\)"):
        DnsEnricherConfig(min_ttl="2d")
    enricher = DnsEnricher(DnsEnricherConfig(naming="{side}_addr"), Context(base_dir=tmp_path))
    with pytest.raises(ConfigError, match="already a column"):
        enricher.bind(rows("x").schema)
    assert enricher.runs == "here"


PIPELINE = """\
name: named
source: {{type: file, paths: [logs/]}}
decoder: {{type: aws_vpc}}
enrichers:
  - {{type: dns, servers: ["{server}"], cache: names, wait: {wait}, timeout: 300ms}}
sinks: [{{type: file, path: out/, format: {{type: jsonl}}}}]
rejects: {{type: file, path: rejects/}}
"""
HEAD = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)
LINE = (
    "2 111122223333 eni-0aa 10.0.0.{n} 10.0.5.{n} {n} 443 6 3 100 1767225600 1767225660 ACCEPT OK"
)


def test_a_run_is_not_held_up_and_its_names_serve_the_next_one(dns_server, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "p.yaml").write_text(PIPELINE.format(server=dns_server.address, wait="1s"))

    def run(name):
        lines = [HEAD, *(LINE.format(n=n) for n in range(200))]
        (tmp_path / "logs" / name).write_text("\n".join(lines) + "\n")
        command = [sys.executable, "-m", "ktrans", "run", "p.yaml"]
        before = set(tmp_path.glob("out/*"))
        done = subprocess.run(
            command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        new = set(tmp_path.glob("out/*")) - before
        return [json.loads(line) for path in new for line in path.read_text().splitlines()]

    first = run("a.log")
    assert len(first) == 200
    assert all(row.get("dst_dns") is None for row in first), "the server says nothing about these"
    dns_server.stop()
    second = run("b.log")
    assert len(second) == 200
    named = {row["src_addr"] for row in second if row.get("src_dns")}
    assert named >= {row["src_addr"] for row in first if row.get("src_dns")}
    assert named


KILLED_AT_THE_THIRD_RENAME = """\
import os, signal
from ktrans.cli import main
from ktrans.kit.files import staging
real, count = os.replace, 0
def replace(source, target):
    global count
    count += ".ktrans-staging" in str(source)
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
staging.os.replace = replace

main(["run", "p.yaml"])
"""


def test_an_epoch_that_is_done_again_may_have_other_names_and_has_each_row_once(
    dns_server, tmp_path
):
    (tmp_path / "logs").mkdir()
    lines = [LINE.replace("eni-0aa", f"eni-{n % 5}").format(n=n) for n in range(100)]
    (tmp_path / "logs" / "a.log").write_text("\n".join([HEAD, *lines]) + "\n")
    text = PIPELINE.format(server=dns_server.address, wait="1s")
    (tmp_path / "p.yaml").write_text(text.replace("path: out/", 'path: "out/{interface_id}/"'))

    def run(*command):
        whole = [sys.executable, *command]
        return subprocess.run(whole, check=False, cwd=tmp_path, capture_output=True, timeout=60)

    assert run("-c", KILLED_AT_THE_THIRD_RENAME).returncode == -signal.SIGKILL
    published = set(tmp_path.glob("out/*/*.jsonl"))
    assert len(published) == 2
    shutil.rmtree(tmp_path / "out" / ".ktrans-staging")
    shutil.rmtree(tmp_path / "names")
    dns_server.stop()
    again = run("-m", "ktrans", "run", "p.yaml")
    assert again.returncode == 0, again.stderr
    assert published < set(tmp_path.glob("out/*/*.jsonl"))
    rows = [
        json.loads(line)
        for path in tmp_path.glob("out/*/*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert sorted(row["src_port"] for row in rows) == list(range(100))
    assert not any(row.get("src_dns") for row in rows), "no server answered this time"


class TestDns(EnricherContract):
    covers = ("dns",)

    @pytest.fixture(autouse=True)
    def serve(self, lasting_server):
        self.server = lasting_server

    def make(self, context):
        config = DnsEnricherConfig(servers=[self.server.address], cache=None, rate=5000, wait=10)
        return DnsEnricher(config, context)
