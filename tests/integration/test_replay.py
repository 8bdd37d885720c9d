"""Rejects go through again after a fix: once, at their old place, even when the replay is killed."""

import gzip
import json
import subprocess
import sys
import zlib

import pytest

from tests.command import ktrans

LINE = "eni-{n} 10.0.0.{m} 192.0.2.1 443 {n} 6 1 {n} 1767225600 1767225660\n"
LAYOUT = "interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end"


@pytest.fixture
def rejected(tmp_path):
    """A pipeline whose decoder lacked the layout of headerless logs: all of it was rejected."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("a.log", "b.log"):
        (logs / name).write_text("".join(LINE.format(n=n, m=n % 250) for n in range(1, 401)))
    (logs / "whole.log.gz").write_bytes(b"\x1f\x8b broken")
    config = tmp_path / "p.yaml"
    config.write_text(
        "name: p\n"
        "source: {type: file, paths: [logs], tail_wait: 0}\n"
        "decoder: {type: aws_vpc}\n"
        "sinks: [{type: file, path: out/, format: {type: jsonl}}]\n"
        "rejects: {type: file, path: rejects/, limit: {ratio: 1.0}}\n"
        "engine: {retry_wait: 0.01}\n"
    )
    ktrans("run", config)
    assert not (tmp_path / "out").exists()
    config.write_text(config.read_text().replace("aws_vpc}", f"aws_vpc, format: '{LAYOUT}'}}"))
    return config


def rows(config):
    return [
        json.loads(line)
        for path in (config.parent / "out").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]


def places(config):
    return sorted((row["source_uri"].rsplit("/", 1)[1], row["source_pos"]) for row in rows(config))


EXPECTED = [(name, n) for name in ("a.log", "b.log") for n in range(1, 401)]


def test_rows_keep_the_place_that_they_came_from(rejected):
    result = ktrans("rejects", "replay", rejected)
    assert result.returncode == 0, result.stderr
    assert places(rejected) == EXPECTED
    assert {row["bytes"] for row in rows(rejected)} == set(range(1, 401))
    assert ktrans("rejects", "replay", rejected).returncode == 0
    assert places(rejected) == EXPECTED


def reasons(config):
    listed = json.loads(ktrans("rejects", "list", "--json", config).stdout)
    return {item["reason"]: item["count"] for item in listed["rejects"]}


def test_what_is_still_wrong_is_rejected_again_with_its_new_reason(rejected):
    assert reasons(rejected)["no_layout"] == 800
    right = rejected.read_text()
    rejected.write_text(right.replace("srcaddr dstaddr srcport", "srcport srcaddr dstaddr"))
    ktrans("rejects", "replay", rejected)
    assert rows(rejected) == []
    assert "no_layout" not in reasons(rejected)
    assert sum(reasons(rejected).values()) >= 800
    rejected.write_text(right)
    assert ktrans("rejects", "replay", rejected).returncode == 0
    assert places(rejected) == EXPECTED


@pytest.mark.slow
def test_a_replay_that_is_killed_is_finished_by_the_next_run(rejected):
    for delay in (0.3, 0.45, 0.6, 0.7, 0.8, 0.9):
        process = subprocess.Popen(
            [sys.executable, "-m", "ktrans", "rejects", "replay", str(rejected)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert ktrans("run", rejected).returncode in {0, 65}
    assert ktrans("rejects", "replay", rejected).returncode in {0, 65}
    assert places(rejected) == EXPECTED


def test_rows_that_a_sink_could_not_place_stay_among_the_rejects(rejected):
    """They are no records of the log any more, so no decoder is asked about them."""
    stored = min((rejected.parent / "rejects").glob("*.jsonl"))
    placed = {
        "reason": "record_too_large",
        "detail": "2 MB, and the broker takes 1 MB",
        "source_uri": "file:///a.log",
        "source_pos": 3,
        "raw": '{"bytes": 3}',
        "decoder": "sink:kafka",
        "decoder_version": "1",
    }
    with stored.open("a") as stream:
        stream.write(json.dumps(placed) + "\n")
    assert ktrans("rejects", "replay", rejected).returncode == 0
    assert places(rejected) == EXPECTED
    assert reasons(rejected)["record_too_large"] == 1
    result = ktrans("rejects", "replay", rejected)
    assert result.returncode == 0, result.stderr
    assert reasons(rejected)["record_too_large"] == 1


def pipeline(folder, decoder):
    config = folder / "p.yaml"
    config.write_text(
        "name: p\n"
        "source: {type: file, paths: [logs], tail_wait: 0}\n"
        f"decoder: {json.dumps(decoder)}\n"
        "sinks: [{type: file, path: out/, format: {type: jsonl}}]\n"
        "rejects: {type: file, path: rejects/, limit: {ratio: 1.0}}\n"
        "engine: {retry_wait: 0.01, attempts: 2}\n"
    )
    return config


def test_the_torn_end_of_an_object_is_not_taken_for_a_record(tmp_path):
    """A part of a line may look like a line: the number at its end is then another one."""
    (tmp_path / "logs").mkdir()
    lines = "".join(LINE.format(n=n, m=n % 250) for n in range(1, 2000)).encode()
    packed = gzip.compress(lines)
    for size in range(len(packed) - 30, len(packed) - 400, -7):
        torn = zlib.decompressobj(31).decompress(packed[:size])
        if len(torn.rsplit(b"\n", 1)[1].split()) == 10:
            break
    (tmp_path / "logs/torn.log.gz").write_bytes(packed[:size])
    config = pipeline(tmp_path, {"type": "aws_vpc", "format": LAYOUT})
    ktrans("run", config)
    before = len(rows(config))
    assert reasons(config) == {"truncated": 1}
    assert ktrans("rejects", "replay", config).returncode == 0
    assert len(rows(config)) == before
    assert reasons(config) == {"truncated": 1}


def test_rejects_that_no_decoder_knows_are_left_and_the_replay_ends(tmp_path):
    (tmp_path / "logs").mkdir()
    good = "".join(LINE.format(n=n, m=n) for n in range(1, 50))
    (tmp_path / "logs/a.log").write_text(f"{LAYOUT}\n{good}not a flow\n{good}")
    config = pipeline(tmp_path, {"type": "auto"})
    ktrans("run", config)
    found = reasons(config)
    assert sum(found.values()) == 1
    assert ktrans("rejects", "replay", config).returncode in {0, 65}
    assert sum(reasons(config).values()) == 1
    assert len(rows(config)) == 98
