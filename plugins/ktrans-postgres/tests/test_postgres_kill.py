"""Processes that contend for one pipeline, die, stand still, or lose their server: each row once."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess

import pytest

pytestmark = [pytest.mark.service("postgres"), pytest.mark.slow]


def test_two_that_contend_and_are_killed_publish_each_row_once(database, logs, make_site):
    """Two processes at a time, one of them killed at a random moment; the other takes over."""
    folder = logs(30)
    site, clean = make_site("site", folder, database), make_site("clean", folder)
    rng = random.Random(11)
    for _ in range(6):
        pair = [site.start(), site.start()]
        with contextlib.suppress(subprocess.TimeoutExpired):
            pair[0].communicate(timeout=rng.uniform(0.5, 1.5))
        for process in pair:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    assert site.run() == 0, site.said
    assert clean.run() == 0, clean.said
    assert site.rows() == clean.rows()
    assert max(site.rows().values()) == 1
    assert sum(site.rows().values()) == 30 * 201
    assert site.run() == 0
    assert sum(site.rows().values()) == 30 * 201


def test_one_that_stands_still_is_fenced_when_it_goes_on(database, logs, make_site, eventually):
    """Its session is ended while it is stopped; another one takes over; it wakes up to find out."""
    folder = logs(40)
    site, clean = make_site("site", folder, database), make_site("clean", folder)
    first = site.start()
    try:
        eventually(lambda: site.files() or first.poll() is not None, "the first has published")
        first.send_signal(signal.SIGSTOP)
        assert first.poll() is None, "it was too fast to be stopped"
        assert database.end_sessions() == 1
        second = site.start()
        eventually(lambda: database.term() == 2, "the second has taken over")
    finally:
        first.send_signal(signal.SIGCONT)
    _, said = first.communicate(timeout=120)
    assert first.returncode == 75, said
    assert "another run has taken over pipeline 'flows' (run" in said
    _, told = second.communicate(timeout=120)
    assert second.returncode == 0, told
    assert clean.run() == 0, clean.said
    assert site.rows() == clean.rows()


def test_a_second_one_is_told_who_is_at_it(database, logs, make_site, eventually):
    site = make_site("site", logs(40), database)
    first = site.start()
    eventually(lambda: database.term() == 1, "the first holds it")
    first.send_signal(signal.SIGSTOP)
    try:
        assert site.run() == 75
        assert f"process {first.pid} on " in site.said
        skipping = site.start("--if-locked", "skip")
        skipping.communicate(timeout=120)
        assert skipping.returncode == 0
    finally:
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=120)
    assert first.returncode == 0


def test_one_that_stands_by_takes_over_when_the_first_is_killed(
    database, logs, make_site, eventually
):
    folder = logs(40)
    site, clean = make_site("site", folder, database), make_site("clean", folder)
    first = site.start("--follow")
    eventually(lambda: database.term() == 1, "the first holds it")
    second = site.start("--follow")
    try:
        eventually(site.files, "the first has published")
        first.kill()
        first.communicate()
        eventually(lambda: database.term() == 2, "the second has taken over")
        eventually(lambda: sum(site.rows().values()) == 40 * 201, "all is published")
    finally:
        second.terminate()
        _, said = second.communicate(timeout=120)
    assert second.returncode == 0, said
    assert clean.run() == 0, clean.said
    assert site.rows() == clean.rows()


def test_a_server_that_restarts_amid_a_run_is_waited_for(
    database, postgres_server, logs, make_site, eventually
):
    folder = logs(40)
    site, clean = make_site("site", folder, database), make_site("clean", folder)
    running = site.start()
    for _ in range(3):
        seen = len(site.files())
        eventually(
            lambda seen=seen: len(site.files()) > seen or running.poll() is not None, "it goes on"
        )
        postgres_server.restart()
    _, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert clean.run() == 0, clean.said
    assert site.rows() == clean.rows()
    assert max(site.rows().values()) == 1
