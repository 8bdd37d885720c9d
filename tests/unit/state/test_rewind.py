"""Going back: the memory is as it was, whatever happened since, and refusals say why."""

import datetime as dt
import json
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import Split, StateError, StateUpdate, UsageError
from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase
from ktrans.state import rewind
from ktrans.state.epochs import Epoch, Quarantine, Status
from ktrans.state.rewind import bound, parse_time, plan_rewind, reach
from ktrans.state.snapshots import open_totals, snapshot
from ktrans.state.store import Store
from tests.examples import examples

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


class Line:
    """A pipeline whose epochs are recorded one a minute."""

    def __init__(self, store):
        self.store, self.clock = store, NOW

    def record(self, remember=None, changes=None, excluded=()):
        """Record an epoch; gives the time right after it."""
        number = self.store.next_number("p")
        one = Epoch(number, [[Split(f"s{number}", "x://")]], {"at": number}, remember or {})
        one.source, one.updates = "file:abc", changes or {}
        self.store.plan("p", one)
        for key in excluded:
            why = Quarantine(key, f"x://{key}", "waiting", "access", "no permission")
            self.store.quarantine("p", one, why)
            one.quarantined[key] = why
        self.store.stage("p", one)
        self.store.record("p", one, {"splits": 1})
        self.clock += dt.timedelta(minutes=1)
        with self.store.transaction() as db:
            time = self.clock.isoformat(timespec="milliseconds")
            db.execute("UPDATE epochs SET recorded=? WHERE number=?", (time, number))
            db.execute("UPDATE quarantined SET since=? WHERE number=? AND tries=1", (time, number))
        self.store.finish("p", one)
        return self.clock

    def back(self, time):
        """Go back to a time; gives the numbers of the epochs that are read again."""
        way = plan_rewind(self.store, "p", time)
        rewind.rewind(self.store.database, "p", way, self.clock)
        return [epoch["number"] for epoch in way.epochs]

    def memory(self):
        """Return position and all that is remembered, with the epochs that did."""
        rows = self.store.rows("SELECT key, value, number FROM remembered ORDER BY key")
        return self.store.position("p"), [(k, json.loads(v), n) for k, v, n in rows]


@pytest.fixture
def line(tmp_path):
    with closing(SqliteDatabase(MEMORY)) as database:
        store = Store(database)
        store.claim("p", tmp_path / "p.yaml")
        yield Line(store)


def test_the_memory_is_as_it_was(line):
    line.record({"grows": {"size": 1}, "stays": 1})
    time = line.record({"grows": {"size": 2}, "goes": 1})
    then = line.memory()
    line.record({"grows": {"size": 3}, "goes": None, "new": 1})
    line.record({"grows": {"size": 4}, "new": 2})
    assert line.back(time) == [3, 4]
    assert line.memory() == then
    assert line.store.position("p", "file") == {"at": 2}
    assert line.store.next_number("p") == 5
    statuses = [epoch["status"] for epoch in line.store.describe("p")["epochs"]]
    assert statuses == [Status.REWOUND, Status.REWOUND, Status.DONE, Status.DONE]


def test_the_very_beginning_is_a_place_to_go_back_to(line):
    line.record({"a": 1})
    line.record({"a": None, "b": 1})
    assert reach(line.store, "p") == "the beginning"
    assert line.back(NOW - dt.timedelta(days=1)) == [1, 2]
    assert line.memory() == (None, [])
    assert line.store.next_number("p") == 3


def test_nothing_later_means_nothing_to_do(line):
    line.record({"a": 1})
    assert plan_rewind(line.store, "p", line.clock).epochs == ()


def test_it_can_be_gone_back_again_and_over_what_was_gone_back(line):
    first = line.record({"a": 1})
    then = line.memory()
    second = line.record({"a": 2})
    line.record({"a": 3})
    assert line.back(second) == [3]
    line.record({"a": 4, "b": 1})
    assert line.back(first) == [2, 4]
    assert line.memory() == then


@settings(max_examples=examples(50), deadline=None)
@given(
    st.lists(
        st.one_of(
            st.dictionaries(st.sampled_from("abcde"), st.one_of(st.none(), st.integers(0, 9))),
            st.integers(0, 20),
        ),
        max_size=12,
    )
)
def test_any_history_can_be_gone_back_over(steps):
    """Epochs, and numbers for going back to that many epochs ago."""
    with closing(SqliteDatabase(MEMORY)) as database:
        store = Store(database)
        with store.transaction() as db:
            db.execute("INSERT INTO pipelines VALUES ('p', '', 'h', NULL, NULL, '')")
        line = Line(store)
        standing = [(line.clock, line.memory())]
        for step in steps:
            if isinstance(step, dict):
                time = line.record(step)
                standing.append((time, line.memory()))
            else:
                standing = standing[: max(1, len(standing) - step)]
                line.back(standing[-1][0])
                assert line.memory() == standing[-1][1]


def test_splits_that_were_quarantined_since_are_not_listed_any_more(line):
    time = line.record({}, excluded=["early"])
    line.record({}, excluded=["early", "late"])
    line.back(time)
    assert [item["key"] for item in line.store.quarantined("p")] == ["early"]


def test_what_was_forgotten_by_hand_stays_forgotten(line):
    time = line.record({"a": 1})
    line.record({"a": 2})
    line.store.forget("p", ["a"])
    line.back(time)
    assert line.memory() == ({"at": 1}, [])


def test_open_totals_are_taken_back(line):
    time = line.record(changes={"r": StateUpdate((b"1",), whole=False, open=1)})
    line.record(changes={"r": StateUpdate((b"2",), whole=False, open=5)})
    line.back(time)
    assert list(snapshot(line.store, "p", "r", 99).read()) == [b"1"]
    assert open_totals(line.store, "p") == {"r": 1}


def test_open_totals_that_were_put_together_since_cannot(line):
    early = line.record(changes={"r": StateUpdate((b"1",), whole=False, open=1)})
    late = line.record(changes={"r": StateUpdate((b"12",), whole=True, open=2)})
    line.record(changes={"r": StateUpdate((b"3",), whole=False, open=3)})
    with pytest.raises(StateError) as caught:
        plan_rewind(line.store, "p", early)
    assert caught.value.code == "rewind_too_far"
    assert late.strftime("%H:%M") in caught.value.hint
    line.back(late)
    assert list(snapshot(line.store, "p", "r", 99).read()) == [b"12"]


def test_what_is_replaced_is_kept_within_bounds(line):
    for number in range(5):
        line.record({f"k{key}": number for key in range(10)})
    bound(line.store.database, "p", 25)
    assert line.store.rows("SELECT number, count(*) FROM replaced GROUP BY number") == [
        (4, 10),
        (5, 10),
    ]
    with pytest.raises(StateError, match="no longer knows its content at") as caught:
        plan_rewind(line.store, "p", NOW + dt.timedelta(minutes=2))
    assert "12:03:00" in caught.value.hint
    assert line.back(NOW + dt.timedelta(minutes=3)) == [4, 5]
    assert line.memory()[1][0] == ("k0", 2, 3)


def test_an_epoch_that_is_not_finished_comes_first(line):
    line.record({"a": 1})
    line.store.plan("p", Epoch(2, [[]]))
    with pytest.raises(StateError, match="epoch 2 is unfinished") as caught:
        plan_rewind(line.store, "p", NOW)
    assert caught.value.code == "epoch_unfinished"


def test_epochs_of_an_older_ktrans_cannot_be_gone_back_over(tmp_path):
    path = tmp_path / "state.db"
    old = SqliteDatabase(path, version=2)
    with old.transaction() as db:
        done = "INSERT INTO epochs VALUES ('p', 1, 'done', '', '{}', NULL, '{}', '', ?)"
        db.execute(done, (NOW.isoformat(),))
        db.execute("INSERT INTO pipelines VALUES ('p', '', 'h', 'file', '7', '')")
        db.execute("INSERT INTO remembered VALUES ('p', 'a', '1', 1)")
    old.close()
    with closing(SqliteDatabase(path)) as database:
        store = Store(database)
        line = Line(store)
        assert line.memory() == (7, [("a", 1, 1)])
        assert reach(store, "p") is None
        with pytest.raises(StateError, match="older ktrans"):
            plan_rewind(store, "p", NOW - dt.timedelta(hours=1))
        time = line.record({"a": 2})
        line.record({"a": 3})
        assert line.back(time) == [3]
        assert line.memory() == ({"at": 2}, [("a", 2, 2)])
        with pytest.raises(StateError) as caught:
            plan_rewind(store, "p", NOW)
        assert time.strftime("%H:%M") in caught.value.hint


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-05-01T06:00:00Z", NOW - dt.timedelta(hours=6)),
        ("2026-05-01T06:00:00", NOW - dt.timedelta(hours=6)),
        ("2026-05-01T08:00:00+02:00", NOW - dt.timedelta(hours=6)),
        ("2026-05-01", NOW - dt.timedelta(hours=12)),
        ("2h", NOW - dt.timedelta(hours=2)),
        ("90m", NOW - dt.timedelta(minutes=90)),
        ("45s", NOW - dt.timedelta(seconds=45)),
        ("3d", NOW - dt.timedelta(days=3)),
        ("1w", NOW - dt.timedelta(days=7)),
    ],
)
def test_times_as_people_write_them(text, time):
    assert parse_time(text, NOW) == time


@pytest.mark.parametrize("text", ["", "h", "yesterday", "-2h", "2026-13-01", "9" * 30 + "w"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text, NOW)


def test_a_time_ahead_is_refused():
    with pytest.raises(UsageError, match="in the future"):
        parse_time("2026-05-01T12:00:01Z", NOW)
