"""Several pipelines may begin with one new state file at the same moment; it is theirs alone."""

import stat
import threading
from contextlib import closing

import pytest

from ktrans.kit.state.sqlite_database import SqliteDatabase


@pytest.mark.slow
def test_many_who_make_the_same_file_at_once_all_come_to_use_it(tmp_path):
    for attempt in range(200):
        path = tmp_path / str(attempt) / "state.db"
        start, failed = threading.Barrier(4), []

        def begin(path=path, start=start, failed=failed):
            start.wait(60)
            try:
                with closing(SqliteDatabase(path)) as database, database.transaction() as change:
                    change.execute("DELETE FROM pipelines")
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=begin) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []


def test_a_new_state_folder_is_for_this_user_only_and_an_old_one_stays_as_it_is(tmp_path):
    SqliteDatabase(tmp_path / "new" / "deep" / "state.db").close()
    modes = [stat.S_IMODE((tmp_path / at).stat().st_mode) for at in ("new", "new/deep")]
    assert modes == [0o700, 0o700]
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    SqliteDatabase(shared / "state.db").close()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
