"""Names to hours, blocks to parts: the rules, over made-up worlds in memory."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ktrans_azure.blob_container import BlockList
from ktrans_azure.hour_blob_tail import Known, next_part
from ktrans_azure.hour_blobs import (
    calendar,
    find_roots,
    first_hour,
    hour_of,
    last_hour,
    list_hours,
)

from ktrans.kit.objects.days import day_prefix
from ktrans.testing.memory_bucket import MemoryBucket
from tests.examples import examples

HOUR = timedelta(hours=1)
NOON = datetime(2026, 2, 16, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "hour"),
    [
        ("x/y=2026/m=02/d=16/h=12/m=00/macAddress=002248A1B2C3/PT1H.json", NOON),
        ("X/Y=2026/M=02/D=16/H=12/M=00/MACADDRESS=00-22-48-a1-b2-c3/PT1H.JSON", NOON),
        ("y=2026/m=2/d=16/h=12/m=00/macAddress=a/PT1H.json", NOON),
        ("x/y=2026/m=13/d=16/h=12/m=00/macAddress=a/PT1H.json", None),
        ("x/y=2026/m=02/d=16/h=24/m=00/macAddress=a/PT1H.json", None),
        ("x/y=2026/m=02/d=16/h=12/m=00/PT1H.json", None),
        ("x/y=2026/m=02/d=16/h=12/m=00/macAddress=a/PT1H.json.bak", None),
        ("", None),
    ],
)
def test_names_give_hours(name, hour):
    assert hour_of(name) == hour


def test_days_and_times_give_hours():
    assert first_hour("2026-02-16T12:59:59+00:00") == NOON
    assert first_hour("2026-02-16T14:10:00+02:00") == NOON
    assert first_hour(NOON.date()) == NOON - 12 * HOUR
    assert last_hour(NOON.date()) == NOON + 11 * HOUR
    assert last_hour(NOON + timedelta(minutes=5)) == NOON


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-30_000, 30)), max_size=30),
    st.none() | st.integers(-30_000, 0),
    st.integers(-100, 0),
)
def test_all_hours_between_two_are_listed_in_order(blobs, back, end):
    roots = [*map(calendar, ("a/b/", "a/c/", "n/")), calendar("z/u/", upper=True)]
    bucket = MemoryBucket()
    bucket.put("n/readme.txt", b"x")
    bucket.put("other/y=2026/m=01/notes", b"x")
    expected = {}
    last = NOON + end * HOUR
    begin = None if back is None else min(NOON + back * HOUR, last)
    for number, offset in blobs:
        hour, root = NOON + offset * HOUR, roots[number]
        tail = "m=00/macAddress=0022/PT1H.json"
        rest = f"h={hour:%H}/{tail}"
        key = day_prefix(root, hour) + (rest.upper() if root.days.startswith("Y") else rest)
        bucket.put(key, b"x")
        if (begin is None or begin <= hour) and hour <= last:
            expected.setdefault(hour, set()).add(key)
    with ThreadPoolExecutor(4) as pool:
        found = find_roots(bucket, "", pool)
        assert set(found) >= {roots[number] for number, _ in blobs}
        listed = list(list_hours(bucket, found, begin, last, pool))
    assert [hour for hour, _ in listed] == sorted(expected)
    assert {hour: {info.key for info in infos} for hour, infos in listed} == expected


class Blob:
    """A blob as its list of blocks."""

    def __init__(self):
        self.blocks = [("A", 12), ("Z", 2)]

    def grow(self, size):
        self.blocks.insert(-1, (f"D{len(self.blocks)}", size))

    def list(self):
        blocks = tuple(self.blocks)
        return BlockList(str(blocks), sum(size for _, size in blocks), blocks)


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.integers(200, 5000) | st.integers(-9000, -1), max_size=30))
def test_growth_is_read_once_whatever_the_room_and_moment(steps):
    """Positive steps add a block, negative ones read with that much room."""
    blob, known, parts = Blob(), None, []

    def look(room):
        nonlocal known
        part = next_part(blob.list(), known, room)
        if part is not None:
            parts.append((part.start, part.known.end))
            assert part.change == ("new" if known is None else "grown")
            known = Known(**part.known.to_json())
        return part

    for step in steps:
        if step > 0:
            blob.grow(step)
        else:
            look(-step)
    while look(10**9):
        pass
    size = blob.list().size - 2
    edges = [0] + [end for _, end in parts]
    assert [start for start, _ in parts] == edges[:-1]
    assert edges[-1] == (size if len(blob.blocks) > 2 else 0)
    assert known is None or known.covers(blob.list().version)


def test_a_block_that_changed_its_size_or_name_is_a_rewrite():
    blob = Blob()
    blob.grow(500)
    blob.grow(600)
    known = next_part(blob.list(), None, 10**9).known
    for changed in (("D2", 501), ("other", 500)):
        other = Blob()
        other.blocks = [blob.blocks[0], changed, *blob.blocks[2:]]
        other.grow(700)
        part = next_part(other.list(), known, 10**9)
        assert (part.change, part.start) == ("replaced", 0)
    shorter = Blob()
    shorter.grow(500)
    assert next_part(shorter.list(), known, 10**9).change == "replaced"


def test_a_document_without_closer_block_is_read_to_its_end():
    """Copies made by other tools have blocks of any kind."""
    whole = BlockList("1", 9000, (("a", 4000), ("b", 5000)))
    part = next_part(whole, None, 10**9)
    assert (part.start, part.known.end) == (0, 9000)
