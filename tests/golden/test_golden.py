"""Records of every kind of log, and exactly what becomes of them.

Each folder is named after a decoder and holds inputs (`x.json`, `x.log`, ...), beside each the rows
it has to give (`x.expected.jsonl`, columns that are null left out), if need be the rejects
(`x.rejects.jsonl`) and the decoder's options (`x.options.json`).
"""

import json
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktrans.api import BytesPayload, Context, Split
from ktrans.decoders.carriers.decoder import CarrierDecoder
from ktrans.flow.schema import NAMES
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples

HERE = Path(__file__).parent
BESIDE = (".expected.jsonl", ".rejects.jsonl", ".options.json")
INPUTS = sorted(
    path
    for path in HERE.glob("*/*")
    if path.is_file() and not path.name.endswith(BESIDE) and path.parent.name != "__pycache__"
)


def shown(row):
    """Return what a row holds as JSON would."""
    values = {name: value for name, value in row.items() if value is not None}
    if "attrs" in values:
        values["attrs"] = dict(values["attrs"])
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if name != "source_uri"
    }


def shown_reject(row):
    """Return what users see of a reject."""
    raw = row["raw"].decode("utf-8", "backslashreplace")
    return {"source_pos": row["source_pos"], "reason": row["reason"], "raw": raw}


def decode(path, columns=None):
    """Return the rows and the rejects of an input."""
    catalogue = Catalogue()
    options = path.with_suffix(".options.json")
    chosen = json.loads(options.read_text()) if options.exists() else {}
    config = catalogue.config("decoder", {"type": path.parent.name, **chosen})
    decoder = CarrierDecoder(catalogue.build("decoder", config, Context(registry=catalogue)))
    decoder.schema(columns)
    rows, rejects = [], []
    for block in decoder.blocks(BytesPayload(Split(path.name, path.name), path.read_bytes())):
        done = decoder.decode(block)
        rejected = [] if done.rejects is None else done.rejects.to_pylist()
        assert done.records == done.batch.num_rows + len(rejected) + done.skipped
        rows += [shown(row) for row in done.batch.to_pylist()]
        rejects += [shown_reject(row) for row in rejected]
    return rows, rejects


def expected(path, ending):
    """Read the JSON lines beside an input."""
    beside = path.with_suffix(ending)
    return [json.loads(line) for line in beside.read_text().splitlines()] if beside.exists() else []


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_rows_and_rejects_are_as_expected(path):
    rows, rejects = decode(path)
    assert rows == expected(path, ".expected.jsonl")
    assert rejects == expected(path, ".rejects.jsonl")


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_rows_and_rejects_are_the_same_whichever_columns_are_read(path):
    whole, rejects = decode(path)

    @settings(max_examples=examples(15), deadline=None)
    @given(st.sets(st.sampled_from(NAMES), min_size=1, max_size=6))
    def holds(columns):
        rows, some = decode(path, sorted(columns))
        assert some == rejects
        assert rows == [{k: v for k, v in row.items() if k in columns} for row in whole]

    holds()
