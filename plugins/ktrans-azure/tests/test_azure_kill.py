"""Real processes that are killed while blobs grow: every tuple arrives, and once."""

import json
import random
import subprocess
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = [pytest.mark.service("azurite"), pytest.mark.slow]
KILLS = 4


def floor(moment):
    return moment.replace(minute=0, second=0, microsecond=0)


class Writer(threading.Thread):
    """Azure: adds to all blobs, round after round, until it is told to stop."""

    def __init__(self, blobs, tell=lambda blob: None):
        super().__init__(daemon=True)
        self.blobs = blobs
        self.tell = tell
        self.stop = threading.Event()
        self.rounds = 0

    def run(self):
        while not self.stop.wait(0.05):
            for blob in self.blobs:
                blob.grow(tuples=3)
                self.tell(blob)
            self.rounds += 1

    def finish(self):
        self.stop.set()
        self.join()


def kill_some(site, rng):
    """Start a follower again and again, each time killed at another moment."""
    for _ in range(KILLS):
        process = site.start("--follow")
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(rng.uniform(1.0, 3.5))
        process.kill()
        process.communicate()


def kill_at(site, rng, published):
    """Start it again and again, each time killed some moments after it has published so much."""
    killed = 0
    for count in (1, 5, 9, 14):
        process = site.start()
        while published() < count and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        killed += process.poll() is None
        process.kill()
        process.communicate()
    assert killed


def test_a_follower_killed_while_blobs_grow_reads_each_tuple_once(world, site, roots):
    now = floor(datetime.now(UTC))
    blobs = [world.hour(now, root).grow() for root in roots[:3]]
    blobs.append(world.hour(now - timedelta(hours=1), roots[1]).grow())
    site = site(world.options())
    site.document["decoder"] = {"type": "auto"}
    writer = Writer(blobs)
    writer.start()
    kill_some(site, random.Random(7))
    writer.finish()
    assert site.run("--once") == 0, site.stderr
    assert writer.rounds > KILLS
    assert site.rows() == world.written
    assert site.rejects() == []
    positions = [(row["source_uri"], row["source_pos"]) for row in site.lines("lines")]
    assert len(set(positions)) == len(positions)


def test_from_container_to_container_through_kills(worlds, site, roots, noon):
    source, lake = worlds(), worlds()
    for hour in range(12):
        for root in roots[:2]:
            source.hour(noon + timedelta(hours=hour), root).grow(tuples=60).grow(tuples=60)
    site = site(source.options(), epoch_splits=1)
    site.document["sinks"] = [
        {
            "id": "lake",
            "type": "azure_blob",
            "container": lake.name,
            "connection_string": lake.azurite.connection_string,
            "path": "flows/",
            "format": {"type": "jsonl"},
        }
    ]
    kill_at(site, random.Random(11), lambda: len(list(lake.container.list_blobs())))
    assert site.run() == 0, site.stderr
    rows = Counter()
    for blob in lake.container.list_blobs():
        for line in lake.container.download_blob(blob.name).readall().splitlines():
            rows[json.loads(line)["bytes"]] += 1
    assert rows == source.written
    assert site.rejects() == []


def test_events_through_kills(world, site, roots):
    """What a killed process had taken from the queue comes back to the next ones."""
    from azure.storage.queue import QueueServiceClient

    now = floor(datetime.now(UTC))
    blobs = [world.hour(now, root) for root in roots[:3]]
    service = QueueServiceClient.from_connection_string(world.azurite.connection_string)
    queue = service.create_queue(f"{world.name}-events")

    def tell(blob):
        subject = f"/blobServices/default/containers/{world.name}/blobs/{blob.name}"
        queue.send_message(
            json.dumps({"eventType": "Microsoft.Storage.BlobCreated", "subject": subject})
        )

    site = site(world.options(queue={"name": queue.queue_name, "visibility_timeout": 5}))
    site.document["decoder"] = {"type": "auto"}
    queue.send_message("what is this?")
    writer = Writer(blobs, tell)
    writer.start()
    kill_some(site, random.Random(13))
    writer.finish()
    deadline = time.monotonic() + 120
    while queue.get_queue_properties().approximate_message_count:
        assert time.monotonic() < deadline
        assert site.run("--once") in (0, 65), site.stderr
    service.close()
    assert site.rows() == world.written
    (reject,) = site.rejects()
    assert (reject["reason"], reject["raw"]) == ("not_a_notification", "what is this?")
