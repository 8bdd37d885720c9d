"""Exports: all that is known comes back, in another store too; half a file is not taken."""

import json
from contextlib import closing

import pytest

from ktrans.api import Receipt, Split, StateError, StateUpdate, UsageError
from ktrans.kit.state.sqlite_database import MEMORY, SqliteDatabase
from ktrans.kit.state.tables import TABLES
from ktrans.state.epochs import Epoch, Quarantine
from ktrans.state.export import export, load
from ktrans.state.store import Store


@pytest.fixture
def store(tmp_path):
    """A store with a done epoch, one that is decided, and something in every table."""
    with closing(SqliteDatabase(MEMORY)) as database:
        store = Store(database)
        store.claim("p", tmp_path / "p.yaml")
        for number in (1, 2):
            one = Epoch(number, [[Split("a", "x://a", 1, {"v": 1})]], None, {"a": {"n": number}})
            one.source = "file:abc"
            one.updates = {"r": StateUpdate((b"\0\xff",), whole=True, open=3)}
            why = Quarantine("b", "x://b", "waiting", "access", "no permission")
            store.plan("p", one)
            store.quarantine("p", one, why)
            one.quarantined["b"] = why
            store.stage("p", one)
            store.record("p", one, {"splits": 1})
            store.finish("p", one)
        open_one = Epoch(3, [[Split("c", "x://c")]], {"at": 3}, {"c": "\u2028ünï"})
        open_one.receipts = {"lake": [Receipt(3, 10, {"f": 1}, ("out/x",))]}
        store.plan("p", open_one)
        store.stage("p", open_one)
        yield store


@pytest.fixture
def lines(store):
    return [json.dumps(record) for record in export(store, "p")]


@pytest.fixture
def other():
    with closing(SqliteDatabase(MEMORY)) as database:
        other = Store(database)
        yield other


def tables(store):
    return {table: sorted(store.rows(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def test_every_table_has_something_to_lose(store):
    assert all(rows for rows in tables(store).values())


def test_all_of_it_comes_back(store, lines, other, tmp_path):
    assert load(other, "p", tmp_path / "p.yaml", lines) == len(lines) - 2
    assert tables(other) == tables(store)
    assert other.unfinished("p") == store.unfinished("p")


def test_it_may_get_another_name_and_file(lines, other, tmp_path):
    load(other, "q", tmp_path / "q.yaml", lines)
    assert other.pipelines() == ["q"]
    assert other.describe("q")["config"] == str(tmp_path / "q.yaml")
    assert other.memory("q").recall(["a"]) == {"a": {"n": 2}}


def test_what_is_there_is_replaced_only_if_that_is_asked_for(store, lines, tmp_path):
    before = tables(store)
    with pytest.raises(StateError, match="has a state of pipeline 'p' already") as caught:
        load(store, "p", tmp_path / "p.yaml", lines)
    assert caught.value.code == "state_exists"
    store.forget("p", ["a"])
    load(store, "p", tmp_path / "p.yaml", lines, replace=True)
    assert tables(store) == before


def test_other_pipelines_are_left_alone(store, lines, tmp_path):
    load(store, "q", tmp_path / "q.yaml", lines)
    load(store, "q", tmp_path / "q.yaml", lines, replace=True)
    assert store.pipelines() == ["p", "q"]
    assert store.unfinished("p") is not None


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: lines[:3] + lines[4:],
        lambda lines: [*lines, lines[2]],
        lambda lines: [lines[0], lines[-1].replace(str(len(lines) - 1), "1")],
        lambda lines: [*lines[:2], "{", *lines[2:]],
        lambda lines: [*lines[:2], '{"record": "unheard of"}', *lines[2:]],
        lambda lines: [*lines[:2], lines[2].replace('"number"', '"numero"'), *lines[3:]],
        lambda lines: [*lines[:2], lines[2].replace('"done"', "[]"), *lines[3:]],
        lambda lines: [line.replace("AP8=", "?") for line in lines],
        lambda lines: [line.replace('"format": 2', '"format": "x"') for line in lines],
        lambda lines: [],
        lambda lines: ["[]"],
    ],
)
def test_what_is_not_whole_is_refused_and_changes_nothing(lines, other, tmp_path, damage):
    with pytest.raises(UsageError, match="not a complete export") as caught:
        load(other, "p", tmp_path / "p.yaml", damage(lines))
    assert caught.value.code == "export_damaged"
    assert other.pipelines() == []


def test_the_export_of_an_older_ktrans_is_refused(lines, other, tmp_path):
    older = [line.replace('"format": 2', '"format": 1') for line in lines]
    with pytest.raises(StateError, match="older ktrans") as caught:
        load(other, "p", tmp_path / "p.yaml", older)
    assert caught.value.code == "export_too_old"


def test_the_export_of_a_newer_ktrans_is_refused(lines, other, tmp_path):
    newer = [line.replace('"tables": 5', '"tables": 99') for line in lines]
    with pytest.raises(StateError, match="newer ktrans"):
        load(other, "p", tmp_path / "p.yaml", newer)
