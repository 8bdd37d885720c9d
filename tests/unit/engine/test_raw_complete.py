"""Rejects say whether they hold all of their record: what they hold but a part of is not replayed."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ktrans.api import BytesPayload, Context, Limits, Split, reject_batch
from ktrans.cli.root import cli
from ktrans.decoders.logs.azure_vnet import LOG as VNET
from ktrans.engine.rejects.read import read_file
from ktrans.engine.rejects.stored_form import STORED_REJECT_SCHEMA, to_stored

REASONS = ["truncated", "corrupt_stream", "line_too_long", "bad_json", "bad_json", "bad_number"]
RAW = [b"a", b"b", b"c", b"d", b"e", None]
WHOLE = [False, False, False, True, False, False]


def rejects():
    result = [True, True, True, True, False, True]
    details = ["", "", "", "", "no JSON; its first 1 bytes are kept", "the number"]
    return reject_batch(
        "u", range(1, 7), REASONS, RAW, details=details, decoder="d", complete=result
    )


def test_reasons_and_decoders_say_that_there_is_but_a_part():
    assert rejects().column("raw_complete").to_pylist() == WHOLE
    plain = reject_batch("u", [1, 2], ["bad", "truncated"], [b"x", b"y"], decoder="d")
    assert plain.column("raw_complete").to_pylist() == [True, False]


def test_a_decoder_that_shortens_a_record_says_so():
    """The reason is that it is no flow, not that it is long."""
    decoder = VNET.decoder(VNET.config(), Context(limits=Limits(max_line_bytes=100)))
    decoder.schema(None)
    data = b'{"records":[{"time": oops},{"time": ' + b"y" * 300 + b"}]}"
    found = [
        (reject["raw_complete"], len(reject["raw"]))
        for block in decoder.blocks(BytesPayload(Split("k", "u"), data))
        if (made := decoder.decode(block).rejects) is not None
        for reject in made.to_pylist()
    ]
    assert found == [(True, 14), (False, 100)]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("old", [False, True])
def test_files_are_read_back_and_so_are_those_from_before(tmp_path, kind, old):
    """They lack the column; there the reason and the words of the detail tell."""
    table = pa.Table.from_batches([to_stored(rejects())])
    if old:
        table = table.drop_columns(["raw_complete"])
    path = tmp_path / f"r.{kind}"
    if kind == "parquet":
        pq.write_table(table, path)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    found = read_file(path)
    assert found.schema.names == STORED_REJECT_SCHEMA.names
    assert found.column("raw_complete").to_pylist() == WHOLE


def test_show_tells_a_part_from_the_whole(tmp_path):
    (tmp_path / "logs").mkdir()
    lines = ["srcaddr dstaddr bytes", "10.0.0.1 10.0.0.2 many", "y" * 3000]
    (tmp_path / "logs/a.log").write_text("\n".join(lines))
    config = tmp_path / "p.yaml"
    config.write_text(
        "name: p\n"
        "source: {type: file, paths: [logs], tail_wait: 0}\n"
        "decoder: {type: aws_vpc}\n"
        "sinks: [{type: blackhole}]\n"
        "rejects: {type: file, path: rejects/, limit: {ratio: 1.0}}\n"
        "limits: {max_line_size: 1024}\n"
    )
    CliRunner().invoke(cli, ["run", str(config)])
    shown = CliRunner().invoke(cli, ["rejects", "show", str(config)]).output
    parts = [line for line in shown.splitlines() if line.startswith("  raw")]
    assert [line.endswith("(a part of the record)") for line in parts] == [False, True]
