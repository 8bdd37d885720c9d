"""The object source: what it lists, what it takes for new, how little it remembers, how it reads."""

import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ktrans.api import (
    AccessError,
    Budget,
    RetryableError,
    SplitChangedError,
    UsageError,
)
from ktrans.kit.objects.source import ObjectSourceConfig
from ktrans.kit.retry import Retry
from tests.examples import examples
from tests.unit.kit.objects.conftest import NOW, Site

AWS = "AWSLogs/{}/vpcflowlogs/eu-1/{:%Y/%m/%d}/"
HIVE = (
    "AWSLogs/aws-account-id={}/aws-service=vpcflowlogs/aws-region=eu-1/"
    "year={:%Y}/month={:%m}/day={:%d}/hour=03/"
)


def keys(plan):
    return [split.data["key"] for split in plan.splits] if plan else []


def step(site, budget=None, **options):
    """Plan and record one epoch as a new process would; gives the keys."""
    with site.source(**options) as source:
        plan = source.plan(site.position, site.memory, budget or Budget())
    if plan is not None and plan.splits:
        site.record(plan)
    return keys(plan)


def read(source, split):
    with source.open(split) as payload, payload.open() as stream:
        return stream.read()


def fill(site, spelling, days, accounts=("1", "2"), per_day=3):
    made = []
    for back in range(days):
        day = NOW - timedelta(days=back)
        for account in accounts:
            for i in range(per_day):
                key = spelling.format(account, *[day] * (spelling.count("{") - 1)) + f"{i}.log"
                site.bucket.put(key, b"x", day)
                made.append(key)
    return made


@pytest.mark.parametrize("spelling", [AWS, HIVE, "flows/{}/dt={:%Y-%m-%d}/", "x/{}/{:%Y%m%d}/"])
def test_days_are_found_however_they_are_spelled_and_read_oldest_first(site, spelling):
    made = fill(site, spelling, 70)
    taken = step(site)
    assert sorted(taken) == sorted(made)
    days = [site.bucket.objects[key].info.modified for key in taken]
    assert days == sorted(days)


@pytest.mark.parametrize("spelling", [AWS, HIVE])
def test_once_caught_up_only_the_days_of_the_lookback_are_listed(site, spelling):
    fill(site, spelling, 400)
    step(site)
    site.bucket.requests.clear()
    key = spelling.format("2", *[NOW] * (spelling.count("{") - 1)) + "new.log"
    site.clock.add(minutes=5)
    site.bucket.put(key, b"x")
    assert step(site) == [key]
    assert site.bucket.requests["list"] == 2 * 3  # yesterday, today, tomorrow of two accounts
    assert site.bucket.requests["level"] < 20


def test_what_lies_outside_of_days_is_read_too(site):
    made = fill(site, AWS, 2)
    for key in ("AWSLogs/readme.txt", "top.log", "other/deep/x.log"):
        site.bucket.put(key, b"x")
        made.append(key)
    site.bucket.put("AWSLogs/", b"")
    assert sorted(step(site)) == sorted(made)
    assert step(site) == []


def test_a_template_says_where_the_days_are(site):
    made = fill(site, "AWSLogs/o-1/{}/vpcflowlogs/r/{:%Y/%m/%d}/", 3)
    fill(site, "AWSLogs/o-1/{}/CloudTrail/r/{:%Y/%m/%d}/", 3)
    layout = "o-*/*/vpcflowlogs/*/%Y/%m/%d/"
    assert sorted(step(site, prefix="AWSLogs/", layout=layout)) == sorted(made)


@pytest.mark.parametrize(
    "layout",
    ["%Y/%m/", "%Y/%m/%d", "/%Y/%m/%d/", "%Y/%m/%d/x/", "%Y/x/%m/%d/", "%Y/%m/%d/%H/", "x/"],
)
def test_a_layout_that_makes_no_sense_is_refused(layout):
    with pytest.raises(ValidationError, match="layout"):
        ObjectSourceConfig(type="x", layout=layout)


def test_since_and_until_bound_a_backfill(site):
    fill(site, AWS, 10, accounts=("1",), per_day=1)
    loose = ["a.log", "b.log", "c.log"]
    for key, back in zip(loose, (9, 4, 1), strict=True):
        site.bucket.put(key, b"x", NOW - timedelta(days=back))
    taken = step(site, since="2026-10-31", until="2026-11-02")
    days = [(NOW - timedelta(days=back)).date() for back in (5, 4, 3)]
    assert taken == ["b.log", *[AWS.format("1", day) + "0.log" for day in days]]


def test_include_and_exclude_compare_names_and_whole_keys(site):
    for key in ("a/x.log.gz", "a/x.json", "b/x.log.gz", "b/skip.log.gz"):
        site.bucket.put(key, b"x")
    assert step(site, include=["*.log.gz"], exclude=["a/*", "skip*"]) == ["b/x.log.gz"]


def test_its_own_outputs_are_left_out(site):
    site.bucket.put("lake/p.lake.a1b2c3-00000007-0000-00000.parquet", b"x")
    site.bucket.put("lake/other.lake.a1b2c3-00000007-0000-00000.parquet", b"x")
    assert step(site) == ["lake/other.lake.a1b2c3-00000007-0000-00000.parquet"]


def test_prefixes_that_overlap_are_refused():
    with pytest.raises(ValidationError, match="is within"):
        ObjectSourceConfig(type="x", prefix=["a/", "a/b/"])


def test_an_object_that_is_not_settled_waits(site):
    site.bucket.put("a", b"x", NOW - timedelta(seconds=10))
    with site.source(min_age=30) as source:
        plan = source.plan(None, site.memory, Budget())
        assert plan.splits == ()
        assert plan.left == ("objects that were changed too recently (min_age): 1",)
    site.clock.add(seconds=25)
    assert step(site, min_age=30) == ["a"]


def test_a_replaced_object_is_read_again_left_or_an_error(site):
    site.bucket.put("a", b"1")
    step(site)
    site.bucket.put("a", b"2")
    assert step(site, on_replaced="skip") == []
    with pytest.raises(SplitChangedError, match="other content"):
        step(site, on_replaced="error")
    assert step(site) == ["a"]
    assert step(site) == []


def test_objects_are_pinned_by_version(site):
    site.bucket.put("a", b"1")
    with site.source() as source:
        split = source.plan(None, site.memory, Budget()).splits[0]
        site.bucket.put("a", b"22")
        with pytest.raises(SplitChangedError):
            read(source, split)
        site.bucket.remove("a")
        with pytest.raises(SplitChangedError) as gone:
            read(source, split)
    assert gone.value.code == "split_vanished"


def test_a_late_object_is_read_within_the_lookback_and_before_the_cursor(site):
    site.bucket.put("m", b"x")
    assert step(site) == ["m"]
    site.clock.add(hours=5)
    site.bucket.put("a", b"x", NOW - timedelta(hours=3))  # as an upload that took long
    site.bucket.put("z", b"x")
    assert step(site) == ["a", "z"]


def test_what_was_quarantined_is_tried_again_however_old(site):
    for i in range(4):
        site.bucket.put(f"{i}", b"x", NOW - timedelta(days=100))
    with site.source() as source:
        plan = source.plan(None, site.memory, Budget())
    site.record(plan, failed=["mem://bucket/2"])
    site.clock.add(days=3)
    site.bucket.put("new", b"x")
    with site.source() as source:  # this run has failed with it
        skip = Budget(skip=frozenset(["mem://bucket/2"]))
        plan = source.plan(site.position, site.memory, skip)
    assert keys(plan) == ["new"]
    site.record(plan)
    site.clock.add(days=3)
    site.bucket.put("2", b"other", NOW - timedelta(days=50))
    assert step(site) == ["2"]
    assert step(site) == []


def test_what_was_quarantined_and_is_gone_is_given_up(site):
    site.bucket.put("a", b"x")
    with site.source() as source:
        plan = source.plan(None, site.memory, Budget())
    site.record(plan, failed=["mem://bucket/a"])
    site.bucket.remove("a")
    site.bucket.put("b", b"x")
    assert step(site) == ["b"]
    assert "waiting" not in site.position


def test_start_from_a_time_or_behind_a_key(site):
    fill(site, AWS, 5, accounts=("1",), per_day=1)
    site.bucket.put("x.log", b"x", NOW - timedelta(days=4))
    with site.source() as source:
        site.position = source.position_from("2026-11-04")
        assert [key[-16:] for key in step(site)] == ["2026/11/04/0.log", "2026/11/05/0.log"]
        site.position = source.position_from("mem://bucket/AWSLogs/1/vpcflowlogs/eu-1/2026/11/04")
        site.memory.clear()
        assert [key[-16:] for key in step(site)] == [
            "x.log",
            "2026/11/04/0.log",
            "2026/11/05/0.log",
        ]
        with pytest.raises(UsageError) as caught:
            source.position_from("banana")
        assert "the object after which to start" in caught.value.hint


def test_errors_of_the_bucket_come_through(site):
    site.bucket.fail = lambda kind, _key: AccessError("no") if kind == "list" else None
    with pytest.raises(AccessError):
        step(site, layout="plain")


def test_only_as_many_pages_are_fetched_as_the_budget_needs(site):
    for i in range(20_000):
        site.bucket.put(f"{i:06}", b"x", NOW - timedelta(days=9))
    taken = step(site, Budget(splits=500), layout="plain")
    assert taken == [f"{i:06}" for i in range(500)]
    assert site.bucket.requests["list"] <= 2
    site.bucket.requests.clear()
    assert step(site, Budget(splits=500), layout="plain")[0] == "000500"
    assert site.bucket.requests["list"] <= 2


@pytest.mark.slow
def test_the_state_does_not_grow_with_the_bucket(site):
    """Twenty days of objects that come in, and a state that holds the last day of them."""
    sizes = []
    for hour in range(24 * 20):
        site.clock.add(hours=1)
        day = site.clock.time
        for i in range(3):
            site.bucket.put(AWS.format("1", day) + f"{hour:05}-{i}.log", b"x")
        assert len(step(site)) == 3
        sizes.append(len(site.memory) + len(str(site.position)))
    assert max(sizes[48:]) < 600
    assert max(sizes[-48:]) <= max(sizes[48:96]) + 10


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 10**6), dated=st.booleans())
def test_each_version_of_each_object_is_read_once_whatever_happens(seed, dated):
    """Objects come in any order, are replaced, fail and come back; budgets are small."""
    rng, site, done = random.Random(seed), Site(), Counter()
    versions = {}

    def put(name):
        if dated:
            name = f"{'ab'[rng.random() < 0.5]}/{site.clock.time:%Y/%m/%d}/{name}"
        versions[name] = site.bucket.put(name, b"x" * rng.randint(1, 50)).version
        expected[name, versions[name]] = 1

    expected = Counter()
    failed_for_now = set()
    for _ in range(60):
        site.clock.add(hours=rng.choice([0, 1, 5, 30]))
        for _ in range(rng.choice([0, 1, 4])):
            put(f"{rng.randrange(1000):04}")
        budget = Budget(
            splits=rng.choice([1, 2, 10]),
            skip=frozenset(f"mem://bucket/{key}" for key in failed_for_now),
        )
        with site.source() as source:
            plan = source.plan(site.position, site.memory, budget)
        if plan is None or not plan.splits:
            failed_for_now.clear()
            continue
        failed = [split for split in plan.splits if rng.random() < 0.2]
        failed_for_now.update(split.data["key"] for split in failed)
        site.record(plan, {split.key for split in failed})
        for split in plan.splits:
            if split not in failed:
                done[split.data["key"], split.data["version"]] += 1
    while taken := step(site):
        done.update((key, versions[key]) for key in taken)
    replaced = {pair for pair in expected if versions[pair[0]] != pair[1]}
    assert {k: n for k, n in done.items() if k not in replaced} == {
        k: n for k, n in expected.items() if k not in replaced
    }
    assert all(done[pair] <= 1 for pair in replaced)


# -- reading ----------------------------------------------------------------------------------


def one(site, data, **options):
    site.bucket.put("o", data)
    source = site.source(**options)
    return source, source.plan(None, site.memory, Budget()).splits[0]


@pytest.mark.parametrize("part_size", [1 << 16, 1 << 20])
@pytest.mark.slow
def test_a_broken_connection_is_taken_up_where_it_broke(site, part_size):
    data = random.Random(1).randbytes(300_000)
    source, split = one(site, data, part_size=part_size)
    site.bucket.cut["o"] = [10_000, 1, 50_000, 0, 0]
    with source:
        assert read(source, split) == data
    assert site.bucket.cut["o"] == []


def test_a_connection_that_never_brings_a_byte_ends_as_an_error_that_may_pass(site, monkeypatch):
    quick = Retry(attempts=5, first_wait_secs=0.01, max_wait_secs=0.01)
    monkeypatch.setattr("ktrans.kit.objects.reader._RETRY", quick)
    source, split = one(site, b"data")
    site.bucket.cut["o"] = [0] * 100
    with source, pytest.raises(RetryableError):
        read(source, split)
    assert len(site.bucket.cut["o"]) == 95


def test_a_trickle_is_asked_for_again(site, monkeypatch):
    quick = Retry(attempts=5, first_wait_secs=0.01, max_wait_secs=0.01)
    monkeypatch.setattr("ktrans.kit.objects.reader._RETRY", quick)
    data = random.Random(1).randbytes(1_000_000)
    source, split = one(site, data, slow_read_after=1e-9)
    with source:
        assert read(source, split) == data  # in pieces of what comes before it is late
    assert site.bucket.requests["open"] > 3


def test_small_objects_are_fetched_ahead_and_each_once(site):
    for i in range(200):
        site.bucket.put(f"{i:03}", f"{i}".encode() * 10)
    with site.source() as source:
        splits = source.plan(None, site.memory, Budget()).splits
        for i, split in enumerate(splits):
            assert read(source, split) == f"{i}".encode() * 10
    assert site.bucket.requests["open"] == 200


def test_an_error_of_what_was_fetched_ahead_comes_when_that_is_opened(site):
    for i in range(10):
        site.bucket.put(f"{i}", b"x")
    with site.source() as source:
        splits = source.plan(None, site.memory, Budget()).splits
        site.bucket.remove("5")
        for i, split in enumerate(splits):
            if i == 5:
                with pytest.raises(SplitChangedError):
                    read(source, split)
            else:
                assert read(source, split) == b"x"


# -- what must neither be lost nor read twice -------------------------------------------------

OLD = NOW - timedelta(days=90)


def run(site, failed=(), **options):
    """Plan and record until nothing is left, in one process; gives the keys that were read."""
    taken, skip = [], set()
    with site.source(**options) as source:
        while plan := source.plan(site.position, site.memory, Budget(skip=frozenset(skip))):
            if not plan.splits:
                break
            aside = [split.key for split in plan.splits if split.data["key"] in failed]
            skip.update(aside)
            site.record(plan, aside)
            taken += [s.data["key"] for s in plan.splits if s.key not in aside]
    return taken


@pytest.mark.parametrize("place", ["top/a{}", "top/z{}"])
def test_a_tree_that_changes_its_shape_amid_a_sweep_loses_nothing(site, monkeypatch, place):
    """A folder gets too many objects to look for days in it, before a new process goes on."""
    monkeypatch.setattr("ktrans.kit.objects.days._MAX_LOOSE", 10)
    for i in range(10):
        site.bucket.put(place.format(i), b"x", OLD)
    for day in range(1, 6):
        site.bucket.put(f"top/m/2026/08/0{day}/f", b"x", OLD)
    taken = step(site, Budget(splits=4))
    for i in range(10, 15):
        site.bucket.put(place.format(i), b"x", OLD)
    taken += run(site)
    site.clock.add(days=1)
    taken += run(site)
    assert {*site.bucket.objects} - {*taken} <= {place.format(i) for i in range(10, 15)}
    assert max(Counter(taken).values()) == 1


def test_more_folders_amid_a_sweep_lose_nothing(site, monkeypatch):
    monkeypatch.setattr("ktrans.kit.objects.days.MAX_FOLDERS", 5)
    for account in range(2):
        for day in range(1, 4):
            site.bucket.put(f"b{account}/2026/08/0{day}/f", b"x", OLD)
    taken = step(site, Budget(splits=2))
    site.clock.add(minutes=1)
    for name in range(6):
        site.bucket.put(f"a{name}/x", b"x")
    taken += run(site)
    site.clock.add(days=1)
    taken += run(site)
    assert sorted(taken) == sorted(site.bucket.objects)


def test_what_was_quarantined_waits_also_after_a_run_from_elsewhere(site):
    options = {"layout": "plain", "lookback": 3600}
    for key in ("early", "k"):
        site.bucket.put(key, b"1")
    assert run(site, failed=["early"], **options) == ["k"]
    site.bucket.put("other", b"1")
    assert run(site, failed=["early"], **options) == ["other"]  # it waits in the position now
    site.clock.add(hours=3)
    site.bucket.put("k", b"22")
    site.bucket.put("l", b"1")
    site.clock.add(hours=3)
    with site.source(**options) as source:
        site.position = source.position_from(NOW.isoformat())
    assert run(site, failed=["early", "k"], **options) == ["l"]
    site.clock.add(hours=3)
    assert sorted(run(site, **options)) == ["early", "k"]


def test_runs_from_elsewhere_do_not_make_the_state_grow(site):
    sizes = []
    for day in range(6):
        for i in range(10):
            site.bucket.put(f"d{day}-{i}", b"1")
        site.clock.add(hours=1)
        with site.source(layout="plain") as source:
            back = site.clock() - timedelta(hours=12)
            site.position = source.position_from(back.isoformat())
        run(site, layout="plain", lookback=3600)
        site.clock.add(hours=23)
        sizes.append(len(site.memory))
    assert max(sizes[3:]) <= max(sizes[:3])


def test_what_waits_is_not_planned_by_the_sweep_as_well(site):
    for key in ("a", "b"):
        site.bucket.put(key, b"1")
    assert run(site, failed=["a"], layout="plain") == ["b"]
    refusals = [AccessError("not yet")]
    site.bucket.fail = lambda kind, _: refusals.pop() if kind == "stat" and refusals else None
    site.clock.add(minutes=5)
    taken = run(site, layout="plain")
    site.clock.add(minutes=5)
    taken += run(site, layout="plain")
    assert taken == ["a"]


def test_a_replaced_object_that_is_left_alone_is_never_read(site):
    options = {"layout": "plain", "on_replaced": "skip", "lookback": 86_400}
    site.bucket.put("a", b"1")
    site.clock.add(hours=1)
    assert run(site, **options) == ["a"]
    site.clock.add(hours=19)
    site.bucket.put("a", b"22")
    for hour in range(20):
        site.bucket.put(f"m{hour}", b"x")
        assert run(site, **options) == [f"m{hour}"]
        site.clock.add(hours=3)
