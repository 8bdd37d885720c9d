"""Rows with their texts, cut into requests."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.kit.http.batches import Batcher, groups_of, halves, rows_of, text_of, with_texts
from tests.examples import examples

texts = st.lists(st.text(alphabet="abcé", max_size=40).map(lambda t: f"{t}\n"), max_size=60)


def lines_of(values):
    rows = pa.record_batch({"n": pa.array(range(len(values)), pa.int64())})
    return with_texts(rows, pa.array(values, pa.string()))


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(texts, max_size=5), st.integers(1, 20), st.integers(1, 100))
def test_batches_hold_all_lines_in_order_within_their_bounds(groups, most_rows, most_bytes):
    batcher, batches = Batcher(most_rows, most_bytes), []
    for values in groups:
        batches += batcher.add(lines_of(values))
    batches += batcher.flush()
    assert b"".join(text_of(batch) for batch in batches).decode() == "".join(map("".join, groups))
    for batch in batches:
        assert 1 <= batch.num_rows <= most_rows
        assert len(text_of(batch)) <= most_bytes or batch.num_rows == 1
    numbers = [n for b in batches for rows in rows_of(b) for n in rows.column("n").to_pylist()]
    assert numbers == [n for values in groups for n in range(len(values))]


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_halves_make_the_whole(groups):
    batch = pa.concat_tables([lines_of(values) for values in groups])
    first, second = halves(batch)
    assert abs(first.num_rows - second.num_rows) <= 1
    assert (text_of(first) + text_of(second)).decode() == "".join(map("".join, groups))


def test_sliced_and_large_texts_are_read_right():
    texts = pa.array(["skip\n", "a\n", "bb\n"], pa.large_string()).slice(1)
    rows = pa.record_batch({"n": pa.array([1, 2])})
    assert text_of(with_texts(rows, texts)) == b"a\nbb\n"


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=1, max_size=40))
def test_groups_have_the_rows_of_a_key_in_order(rows):
    keys = pa.array([key for key, _ in rows])
    order = pa.array([order for _, order in rows])
    batch = lines_of([f"{key}{order}\n" for key, order in rows])
    found = {key: text_of(group).decode() for key, group in groups_of(batch, keys)}
    assert found == {
        key: "".join(f"{k}{order}\n" for k, order in rows if k == key) for key, _ in rows
    }
    found = {
        key: text_of(group).decode() for key, group in groups_of(batch, keys, order.to_numpy())
    }
    assert found == {
        key: "".join(f"{k}{order}\n" for k, order in sorted(rows) if k == key) for key, _ in rows
    }
