"""What the state store keeps, and how it refuses."""

import errno
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest

from ktrans.api import Context, ExitCode, Receipt, RetryableError, Split, StateError
from ktrans.kit.state.sqlite_database import SqliteDatabase
from ktrans.state.epochs import Epoch, Quarantine, Status
from ktrans.state.sqlite import SqliteState, SqliteStateConfig
from ktrans.state.store import Store, hold_store, view_store


@pytest.fixture
def store(tmp_path):
    with closing(SqliteDatabase(tmp_path / "state.db")) as database:
        store = Store(database)
        store.claim("p", tmp_path / "p.yaml")
        yield store


def epoch(number=1, remember=None):
    splits = [Split("a", "x://a", 1, {"v": 1}), Split("b", "x://b")]
    return Epoch(number, [[splits[0]], [splits[1]]], {"at": number}, remember or {"a": 1, "b": 2})


def test_an_epoch_comes_back_as_it_was_planned(store):
    store.plan("p", epoch())
    found = store.unfinished("p")
    assert found.tasks == epoch().tasks
    assert found.status is Status.PLANNED
    assert store.position("p") is None
    assert store.next_number("p") == 2


def test_receipts_survive_once_the_epoch_is_staged(store):
    one = epoch()
    store.plan("p", one)
    one.receipts = {"lake": [Receipt(3, 10, {"f": 1}, ("out/x",))]}
    store.stage("p", one)
    found = store.unfinished("p")
    assert found.status is Status.COMMITTING
    assert found.receipts == one.receipts


def test_recording_moves_the_position_and_remembers(store):
    one = epoch()
    store.plan("p", one)
    store.record("p", one, {"splits": 2})
    assert store.position("p") == {"at": 1}
    assert store.memory("p").recall(["a", "b", "c"]) == {"a": 1, "b": 2}
    assert store.unfinished("p").status is Status.RECORDED
    store.finish("p", one)
    assert store.unfinished("p") is None


def test_a_split_that_waits_is_not_remembered_but_listed(store):
    one = epoch()
    store.plan("p", one)
    why = Quarantine("b", "x://b", "waiting", "access", "no permission")
    store.quarantine("p", one, why)
    one.quarantined["b"] = why
    assert store.unfinished("p").quarantined == {"b": why}
    store.record("p", one, {})
    assert store.memory("p").recall(["a", "b"]) == {"a": 1}
    assert [item["reason"] for item in store.quarantined("p")] == ["no permission"]


def test_none_forgets_a_key(store):
    for number, value in ((1, 5), (2, None)):
        one = epoch(number, {"a": value})
        store.plan("p", one)
        store.record("p", one, {})
        store.finish("p", one)
    assert store.memory("p").recall(["a"]) == {}


def test_recall_takes_any_number_of_keys(store):
    many = {f"k{i}": i for i in range(2500)}
    one = epoch(1, many)
    store.plan("p", one)
    store.record("p", one, {})
    assert store.memory("p").recall(list(many)) == many


def test_reset_forgets_one_pipeline_only(store, tmp_path):
    store.claim("q", tmp_path / "q.yaml")
    for name in ("p", "q"):
        store.plan(name, epoch())
        store.record(name, epoch(), {})
    store.reset("p")
    assert store.pipelines() == ["q"]
    assert store.memory("q").recall(["a"]) == {"a": 1}
    assert store.memory("p").recall(["a"]) == {}


def test_two_files_may_not_share_a_name(store, tmp_path):
    (tmp_path / "p.yaml").touch()
    with pytest.raises(StateError, match=r"already serves a pipeline named 'p', from .*p\.yaml"):
        store.claim("p", tmp_path / "other.yaml")
    (tmp_path / "p.yaml").unlink()
    store.claim("p", tmp_path / "other.yaml")


def test_a_newer_state_is_refused(tmp_path):
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StateError, match="newer ktrans") as caught:
        Store(SqliteDatabase(path))
    assert caught.value.code == "state_too_new"


def test_a_file_that_is_no_state_store_is_refused(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"hello, I am not a database at all" * 100)
    with pytest.raises(StateError, match="is something else"):
        Store(SqliteDatabase(path))


def test_an_empty_file_is_refused_and_stays_as_it_is(tmp_path):
    """It is what a failed copy or a repair of the file system leaves of a state store."""
    path = tmp_path / "state.db"
    path.touch()
    state = SqliteState(SqliteStateConfig(path="state.db"), Context(base_dir=tmp_path))
    for use in (hold_store, view_store):
        with pytest.raises(StateError, match="is an empty file") as caught, use(state, "p"):
            pass
        assert caught.value.code == "state_empty"
        assert "--new-history" in caught.value.hint
    assert path.stat().st_size == 0


def test_a_link_to_a_file_that_is_to_be_made_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "state.db").symlink_to("disk/real.db")
    SqliteDatabase(tmp_path / "state.db").close()
    assert (tmp_path / "state.db").is_symlink()
    assert (tmp_path / "disk" / "real.db").stat().st_size > 0


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_full_disk_at_the_creation_of_a_state_is_tried_again_later(tmp_path, monkeypatch, place):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    where = {"folder": "private_folder", "file": "replace_file"}[place]
    monkeypatch.setattr(f"ktrans.kit.state.sqlite_database.{where}", full)
    with pytest.raises(RetryableError) as caught:
        SqliteDatabase(tmp_path / "new" / "state.db")
    assert caught.value.code == "disk_full"
    assert caught.value.exit_code == ExitCode.TRY_LATER


def test_a_full_disk_at_the_creation_of_the_lock_is_tried_again_later(tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ktrans.state.sqlite.private_folder", full)
    state = SqliteState(SqliteStateConfig(path="state.db"), Context(base_dir=tmp_path))
    with pytest.raises(RetryableError), hold_store(state, "p"):
        pass


@pytest.mark.parametrize("opened", [hold_store, view_store])
def test_a_file_that_is_damaged_in_the_middle_is_named_with_what_to_do(tmp_path, opened):
    """Its first page is whole, so that it can be opened."""
    path = tmp_path / "state.db"
    SqliteDatabase(path).close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    state = SqliteState(SqliteStateConfig(path="state.db"), Context(base_dir=tmp_path))
    with pytest.raises(StateError) as caught, opened(state, "p") as store:
        store.describe("p")
    assert caught.value.code == "state_unusable"
    assert str(path) in caught.value.message
    assert "run --new-history" in caught.value.hint


def test_a_disk_without_room_for_what_sqlite_shares_is_full(store, monkeypatch):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    with pytest.raises(RetryableError) as caught, store.database.transaction():
        raise error
    assert caught.value.code == "state_io"
    disk = SimpleNamespace(f_bavail=1, f_frsize=4096)
    monkeypatch.setattr("ktrans.kit.state.sqlite_database.os.statvfs", lambda _: disk)
    with pytest.raises(RetryableError) as caught, store.database.transaction():
        raise error
    assert caught.value.code == "disk_full"


def test_a_reset_begins_a_history_and_frees_the_name(store, tmp_path):
    (tmp_path / "p.yaml").touch()
    (tmp_path / "other.yaml").touch()
    before = store.history("p")
    store.reset("p")
    after = store.history("p")
    assert after not in {"", before}
    store.claim("p", tmp_path / "other.yaml")
    assert store.history("p") == after
    assert store.pipelines() == ["p"]


def test_a_look_shows_what_is_kept_and_changes_of_it_go_nowhere(tmp_path, store):
    store.plan("p", epoch())
    store.record("p", epoch(), {})
    state = SqliteState(SqliteStateConfig(path="state.db"), Context(base_dir=tmp_path))
    with view_store(state, "p") as copy:
        assert copy.position("p") == {"at": 1}
        copy.reset("p")
    assert store.position("p") == {"at": 1}


def test_a_file_of_an_older_version_keeps_what_it_holds(tmp_path):
    path = tmp_path / "state.db"
    old = SqliteDatabase(path, version=3)
    with old.transaction() as db:
        db.execute(
            "INSERT INTO set_aside VALUES ('p', 'b', 'x://b', 'waiting', 'c', 'r', 1, 't', 2)"
        )
        db.execute("INSERT INTO kept VALUES ('p', 'totals', 1, 0, 1, 7, ?)", (b"1",))
    old.close()
    with closing(SqliteDatabase(path)) as database:
        store = Store(database)
        assert [(one["key"], one["tries"]) for one in store.quarantined("p")] == [("b", 2)]
        assert store.describe("p")["open"] == {"totals": 7}


def test_a_look_leaves_a_file_of_an_older_version_as_it_is(tmp_path):
    """The older ktrans may be running on it, and could not open it any more."""
    path = tmp_path / "state.db"
    SqliteDatabase(path, version=1).close()
    before = path.read_bytes()
    state = SqliteState(SqliteStateConfig(path="state.db"), Context(base_dir=tmp_path))
    with view_store(state, "p") as copy:
        copy.plan("p", epoch())
        copy.record("p", epoch(), {})
        assert copy.position("p") is None
    assert path.read_bytes() == before


def test_a_look_at_nothing_finds_nothing_and_leaves_no_file(tmp_path):
    state = SqliteState(SqliteStateConfig(path="new/state.db"), Context(base_dir=tmp_path))
    with view_store(state, "p") as copy:
        assert copy.pipelines() == []
        assert copy.describe("p")["epochs"] == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_asks_to_try_later(store, monkeypatch):
    store.database.connection.execute("PRAGMA max_page_count=20")
    with pytest.raises(RetryableError, match="no space left") as caught:
        store.plan("p", Epoch(1, [[Split("k", "x" * 200_000)]]))
    assert caught.value.code == "disk_full"
    assert store.unfinished("p") is None
