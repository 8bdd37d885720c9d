"""Runs over hundreds of partitions that die at random moments: gathered rows are neither lost nor doubled."""

import random
import signal
import subprocess

import pytest

from tests.integration.sites import line

PARTITIONS = 300


def any_interface(rng):
    first, _, rest = line(rng).partition(" eni-")
    return f"{first} eni-{rng.randrange(PARTITIONS):04} {rest.partition(' ')[2]}"


@pytest.mark.slow
def test_kills_while_rows_of_many_partitions_wait(site, clean, logs):
    """Rows wait in memory and on the disk: buffers are far smaller than a task."""
    logs(0, 4, rows=3000, make=any_interface)
    for one in (site, clean):
        one.write_config(epoch_splits=2, task_size=200_000)
        text = one.config.read_text()
        old = '"lake/date={start_time:%Y-%m-%d}/"'
        assert old in text
        one.config.write_text(text.replace(old, '"lake/{interface_id}/"\n    buffer_size: 64KiB'))
    rng = random.Random(11)
    kills = 0
    for _ in range(5):
        process = site.start()
        try:
            process.communicate(timeout=rng.uniform(0.8, 6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
    assert kills
    assert site.run() == 0, site.stderr
    assert clean.run() == 0, clean.stderr
    assert site.lake() == clean.lake()
    assert max(site.lake().values()) == 1
    assert sum(site.lake().values()) == 4 * 3000
    assert len({path.parent for path in site.visible("lake")}) == PARTITIONS
    assert site.hidden() == []
