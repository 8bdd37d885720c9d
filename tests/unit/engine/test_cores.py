"""The number of workers follows what the process may really use."""

import os

import pytest

from ktrans.engine.cores import cpu_quota, usable_cores


@pytest.fixture
def groups(tmp_path):
    """A tree of control groups with the given files, and the file that names a process's own."""

    def make(own, **files):
        for name, text in files.items():
            path = tmp_path / "cgroup" / name.replace("__", "/").replace("_max", ".max")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "own").write_text(own)
        return tmp_path / "cgroup", tmp_path / "own"

    return make


def test_a_quota_of_a_container_is_seen(groups):
    assert cpu_quota(*groups("0::/\n", cpu_max="150000 100000\n")) == 1.5


def test_no_quota_is_none(groups):
    assert cpu_quota(*groups("0::/\n", cpu_max="max 100000\n")) is None


def test_a_quota_of_a_service_is_seen_and_so_is_that_of_the_groups_above(groups):
    root, own = groups(
        "0::/system.slice/ktrans.service\n",
        system_slice="",
        **{
            "system.slice__cpu_max": "300000 100000\n",
            "system.slice__ktrans.service__cpu_max": "max 100000\n",
        },
    )
    assert cpu_quota(root, own) == 3


def test_a_quota_of_the_first_version_is_seen(tmp_path):
    folder = tmp_path / "cpu" / "docker" / "1f"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("50000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    own = tmp_path / "own"
    own.write_text("12:memory:/docker/1f\n4:cpu,cpuacct:/docker/1f\n")
    assert cpu_quota(tmp_path, own) == 0.5


def test_a_machine_without_control_groups_has_no_quota(tmp_path):
    assert cpu_quota(tmp_path / "none", tmp_path / "nothing") is None


def test_there_is_always_a_core_and_never_one_that_may_not_be_used():
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_that_is_bound_to_one_core_uses_one():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
