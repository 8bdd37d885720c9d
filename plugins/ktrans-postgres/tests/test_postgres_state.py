"""What is held, what is written once, and what is said when the database is not as it should be."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ktrans.api import (
    AccessError,
    ConfigError,
    FencedError,
    LockedError,
    Split,
    StateError,
    StateUpdate,
    UnavailableError,
)
from ktrans.kit.state.tables import STATE_VERSION, versions
from ktrans.state.epochs import Epoch
from ktrans.state.snapshots import snapshot
from ktrans.state.store import hold_store, view_store

pytestmark = pytest.mark.service("postgres")


def epoch(number=1, remember=None):
    split = Split("a", "x://a", 1, {"v": 1})
    return Epoch(number, [[split]], {"at": number}, remember or {"a": number})


def record(store, one):
    store.plan("p", one)
    store.stage("p", one)
    store.record("p", one, {"splits": 1})
    store.finish("p", one)


def test_what_is_recorded_is_there_for_the_next_holder(database, tmp_path):
    with hold_store(database.state(), "p", "first") as store:
        store.claim("p", tmp_path / "p.yaml")
        one = epoch()
        one.updates = {"totals": StateUpdate((b"\0\xff", b"2"), whole=True, open=7)}
        record(store, one)
    with hold_store(database.state(), "p") as store:
        assert store.position("p") == {"at": 1}
        assert store.memory("p").recall(["a", "b"]) == {"a": 1}
        assert list(snapshot(store, "p", "totals", 2).read()) == [b"\0\xff", b"2"]
        assert store.next_number("p") == 2
    assert database.state().pipelines() == ["p"]


def test_a_pipeline_is_held_once_and_others_beside_it(database):
    with (
        hold_store(database.state(), "p", "r1"),
        hold_store(database.state(), "q"),
        pytest.raises(LockedError, match=r"run r1, process \d+ on .*, since 20"),
        hold_store(database.state(), "p"),
    ):
        pass
    with hold_store(database.state(), "p"), hold_store(database.state(schema_name="other"), "p"):
        pass


def test_a_look_is_a_copy_and_disturbs_nobody(database, tmp_path):
    with view_store(database.state(), "p") as store:
        assert store.pipelines() == []
    with hold_store(database.state(), "p") as store:
        store.claim("p", tmp_path / "p.yaml")
        one = epoch()
        one.updates = {"totals": StateUpdate((b"\0\xff",), whole=False, open=7)}
        record(store, one)
        with view_store(database.state(), "p") as copy:
            assert copy.describe("p") == store.describe("p")
            assert list(snapshot(copy, "p", "totals", 2).read()) == [b"\0\xff"]
            copy.reset("p")
        assert store.position("p") == {"at": 1}


def test_a_lost_connection_is_made_anew_and_nothing_is_written_twice(database, tmp_path):
    with hold_store(database.state(), "p") as store:
        store.claim("p", tmp_path / "p.yaml")
        assert database.end_sessions() == 1
        assert store.position("p") is None
        store.plan("p", epoch())
        with store.transaction() as db:
            sql = "INSERT INTO quarantined VALUES ('p', ?, '', '', '', '', 1, '', 1)"
            db.execute(sql, ("x",))
            assert database.end_sessions() == 1
            assert store.rows("SELECT key FROM quarantined") == [("x",)]
            assert database.end_sessions() == 1
            db.executemany(sql, [("y",), ("z",)])
            assert database.end_sessions() == 1
        assert store.rows("SELECT key FROM quarantined ORDER BY key") == [("x",), ("y",), ("z",)]
        assert database.term() == 1


def test_a_session_of_its_own_that_hangs_is_ended(database, tmp_path):
    """The network is cut: this side has given the connection up, the server does not know yet."""
    with hold_store(database.state(), "p") as store:
        store.claim("p", tmp_path / "p.yaml")
        hanging, store.database._connection = store.database._connection, None
        store.plan("p", epoch())
        assert store.next_number("p") == 2
        assert database.term() == 1
        hanging.close()
    with hold_store(database.state(), "p") as store:
        assert store.unfinished("p") is not None


def test_an_answer_that_gets_lost_is_found_out(database, tmp_path, monkeypatch):
    """COMMIT took place, or did not, and the connection died before the answer came."""
    with hold_store(database.state(), "p") as store:
        store.claim("p", tmp_path / "p.yaml")
        insert = "INSERT INTO quarantined VALUES ('p', ?, '', '', '', '', 1, '', 1)"
        connected = store.database._connected

        for key, before in (("lost on the way back", False), ("lost on the way there", True)):
            cut = threading.Event()

            class Cut:
                """A connection that dies at the first COMMIT."""

                def __init__(self, real, cut, before):
                    self._real, self._cut, self._before = real, cut, before

                def __getattr__(self, name):
                    return getattr(self._real, name)

                def execute(self, query, *values):
                    if query != "COMMIT" or self._cut.is_set():
                        return self._real.execute(query, *values)
                    self._cut.set()
                    if self._before:
                        database.end_sessions()
                    self._real.execute(query)
                    database.end_sessions()
                    return self._real.execute("SELECT 1")

            monkeypatch.setattr(
                store.database, "_connected", lambda c=cut, b=before: Cut(connected(), c, b)
            )
            with store.transaction() as db:
                db.execute(insert, (key,))
            assert cut.is_set()
        monkeypatch.undo()
        keys = [row[0] for row in store.rows("SELECT key FROM quarantined ORDER BY key")]
        assert keys == ["lost on the way back", "lost on the way there"]
        store.plan("p", epoch())


def test_one_that_was_replaced_is_fenced_and_changes_nothing(database, tmp_path):
    with hold_store(database.state(), "p", "old") as old:
        old.claim("p", tmp_path / "p.yaml")
        database.end_sessions()
        with hold_store(database.state(), "p", "new") as new:
            with pytest.raises(FencedError, match="run new, process"):
                old.plan("p", epoch())
            with pytest.raises(FencedError):
                old.confirm()
            assert new.unfinished("p") is None
            new.plan("p", epoch())
        with pytest.raises(FencedError):
            old.record("p", epoch(), {})
    with view_store(database.state(), "p") as store:
        assert store.position("p") is None


def test_one_that_was_replaced_and_is_alone_again_stays_fenced(database):
    with hold_store(database.state(), "p", "old") as old:
        database.end_sessions()
        with hold_store(database.state(), "p", "new"):
            pass
        with pytest.raises(FencedError):
            old.confirm()
        with hold_store(database.state(), "p", "newest") as newest:
            newest.confirm()


def test_a_transaction_that_fails_leaves_nothing(database):
    with hold_store(database.state(), "p") as store:
        insert = "INSERT INTO quarantined VALUES ('p', ?, '', '', '', '', 1, '', ?)"
        with pytest.raises(StateError, match="invalid input"), store.transaction() as db:
            db.executemany(insert, [("x", 1), ("y", "no number")])
        assert store.rows("SELECT * FROM quarantined") == []
        store.plan("p", epoch())
        with pytest.raises(StateError, match="duplicate key"):
            store.plan("p", epoch())
        store.plan("p", epoch(2))
        assert store.next_number("p") == 3


def test_a_server_that_restarts_is_waited_for(database, tmp_path, stopped_server):
    with hold_store(database.state(), "p") as store:
        store.claim("p", tmp_path / "p.yaml")
        with stopped_server():
            done = threading.Thread(target=record, args=(store, epoch()))
            done.start()
        done.join(60)
        assert not done.is_alive()
        assert store.position("p") == {"at": 1}


def test_a_server_that_does_not_come_back_is_given_up(database, stopped_server):
    with (
        hold_store(database.state(retry_timeout=0.5), "p") as store,
        stopped_server(),
        pytest.raises(UnavailableError, match=r"127\.0\.0\.1:\d+/test\d+ \(schema ktrans\)"),
    ):
        store.plan("p", epoch())
    with hold_store(database.state(), "p") as store:
        assert store.unfinished("p") is None


def test_texts_that_postgres_does_not_take_are_kept_all_the_same(database, tmp_path):
    with hold_store(database.state(), "p") as store:
        store.claim("p", tmp_path / "p.yaml")
        given = {"nul\0key": {"v": "\0"}, "other": "100% ?"}
        record(store, epoch(1, given))
        assert store.memory("p").recall(list(given)) == given
    with view_store(database.state(), "p") as store:
        assert store.memory("p").recall(list(given)) == given


def test_tables_of_an_older_version_are_brought_up_to_date(database, tmp_path):
    with hold_store(database.state(), "p") as store:
        store.claim("p", tmp_path / "p.yaml")
    database.query("DROP SCHEMA ktrans CASCADE")
    database.query("CREATE SCHEMA ktrans")
    database.query("CREATE TABLE ktrans.version (version INTEGER)")
    database.query("INSERT INTO ktrans.version VALUES (1)")
    database.query(
        "CREATE TABLE ktrans.holds (pipeline TEXT PRIMARY KEY, term BIGINT NOT NULL,"
        " serial BIGINT NOT NULL, holder TEXT NOT NULL)"
    )
    for statement in versions(blob="BYTEA", end="")[0]:
        database.query(statement.replace("CREATE TABLE ", "CREATE TABLE ktrans."))
    database.query(
        "INSERT INTO ktrans.pipelines VALUES ('p', '/p.yaml', 'abc', 'file', '5', '2026')"
    )
    with view_store(database.state(), "p") as store:
        assert store.position("p") == 5
    with hold_store(database.state(), "p") as store:
        assert store.position("p") == 5
        record(store, epoch())
    assert database.query("SELECT version FROM ktrans.version") == [(STATE_VERSION,)]


def test_tables_of_a_newer_ktrans_are_refused(database):
    with hold_store(database.state(), "p"):
        pass
    database.query("UPDATE ktrans.version SET version = 99")
    for use in (hold_store(database.state(), "p"), view_store(database.state(), "p")):
        with pytest.raises(StateError, match="newer ktrans") as caught, use:
            pass
        assert caught.value.code == "state_too_new"


def test_several_may_come_first_at_once(database):
    def come(name):
        with hold_store(database.state(), name) as store:
            store.plan(name, epoch())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(come, [f"p{n}" for n in range(8)]))
    assert database.query("SELECT count(*) FROM ktrans.epochs") == [(8,)]


def test_check_says_what_is_wrong(database, postgres_server):
    database.state().check()
    keyed = f"postgresql://keyed@127.0.0.1:{postgres_server.port}/{database.name}"
    with pytest.raises(AccessError, match="password authentication failed"):
        database.state(url=keyed, password="wrong").check()
    with pytest.raises(AccessError, match="may not create the tables"):
        database.state(url=keyed, password=postgres_server.password).check()
    with pytest.raises(AccessError, match='database "nowhere" does not exist'):
        database.state(url=postgres_server.url("nowhere")).check()
    with pytest.raises(UnavailableError, match="cannot be reached"):
        database.state(url="postgresql://127.0.0.1:1").check()
    with pytest.raises(ConfigError, match="url of the database cannot be read"):
        database.state(url="postgresql://a%zz@h/b").check()


def test_the_rights_that_the_readme_names_are_enough(database, postgres_server):
    mine = {
        "url": f"postgresql://keyed@127.0.0.1:{postgres_server.port}/{database.name}",
        "password": postgres_server.password,
    }
    database.query("CREATE SCHEMA ktrans AUTHORIZATION keyed")
    database.state(**mine).check()
    with hold_store(database.state(**mine), "p") as store:
        store.plan("p", epoch())
        assert database.end_sessions() == 1
        store.plan("p", epoch(2))
    database.state(**mine).check()
    database.query("ALTER TABLE ktrans.epochs OWNER TO postgres")
    with pytest.raises(AccessError, match="may not write epochs"):
        database.state(**mine).check()


def test_no_secret_is_shown(database):
    secret = "do-not-print-me"
    state = database.state(url=f"postgresql://user:{secret}@127.0.0.1:1/db")
    assert state.where == "postgresql://127.0.0.1:1/db (schema ktrans)"
    with pytest.raises(UnavailableError) as caught, hold_store(state, "p"):
        pass
    assert secret not in f"{caught.value} {caught.value.hint} {state.config!r}"
