"""Real processes that write to a real NATS server and are killed: each row is there once."""

import json
import random
import time
from collections import Counter

import pytest

from tests.killed_tables import KilledTable

pytestmark = [pytest.mark.service("nats"), pytest.mark.slow]


def test_twenty_kills_and_each_row_is_in_the_stream_once(stream, tmp_path):
    """A process is killed once so many rows are there: amid a batch, or between two."""
    columns = ["source_uri", "source_pos", "bytes"]
    options = {"columns": columns, "batch_messages": 300, "subject": f"{stream.subject}.x"}
    site = KilledTable(tmp_path, stream.options(**options))
    site.write_logs(24)
    rng, kills, amid = random.Random(5), 0, 0
    while kills < 20:
        process = site.start()
        before = stream.count()
        wanted = before + rng.randrange(1, 1500)
        while process.poll() is None and stream.count() < wanted:
            time.sleep(0.05)
        if process.poll() is None:
            process.kill()
            kills += 1
        _, said = process.communicate()
        assert process.returncode in (0, -9), said
        amid += stream.count() > before and process.returncode == -9
        if process.returncode == 0:
            site.write_logs(8)
    assert amid >= 10
    site.finish()
    found = [json.loads(message.data) for message in stream.messages()]
    rows = Counter((row["source_uri"], row["source_pos"]) for row in found)
    assert set(rows.values()) == {1}
    assert len(rows) == site.rows
    assert sum(row["bytes"] for row in found) == site.bytes
