"""How splits are grouped into tasks."""

from hypothesis import given
from hypothesis import strategies as st

from ktrans.api import Split
from ktrans.engine.task_groups import group_splits

SIZES = st.lists(st.one_of(st.none(), st.integers(0, 10_000)), min_size=1, max_size=60)


@given(SIZES, st.integers(1, 20_000), st.integers(1, 8), st.booleans())
def test_grouping_keeps_every_split_once_and_in_order(sizes, task_size, workers, serial):
    splits = [Split(str(i), f"x://{i}", size) for i, size in enumerate(sizes)]
    tasks = group_splits(splits, task_size, workers, serial=serial)
    assert [split for task in tasks for split in task] == splits
    assert all(tasks)
    if serial:
        assert len(tasks) == 1


def test_tasks_are_of_about_equal_bytes():
    splits = [Split(str(i), f"x://{i}", 10) for i in range(100)]
    tasks = group_splits(splits, 250, 2, serial=False)
    assert [len(task) for task in tasks] == [25, 25, 25, 25]


def test_few_small_splits_still_keep_every_worker_busy():
    splits = [Split(str(i), f"x://{i}", 10) for i in range(10)]
    assert [len(task) for task in group_splits(splits, 1 << 20, 2, serial=False)] == [5, 5]
