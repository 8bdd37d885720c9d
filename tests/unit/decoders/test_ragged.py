"""Records with names of their own are read by small parts, and come out as if they were read together."""

import json

import pytest

from ktrans.api import BytesPayload, Context, Split
from ktrans.decoders.read.ragged import part_lines
from ktrans.registry.catalogue import Catalogue


def record(number, **more):
    return {
        "src_addr": "10.0.0.1",
        "dst_addr": "10.0.0.2",
        "log_type": "aws.vpc",
        "bytes": number,
        "attrs": {"a": "b"},
        **more,
    }


def block_of(data, columns=None):
    catalogue = Catalogue()
    config = catalogue.config("decoder", {"type": "ktrans"})
    decoder = catalogue.build("decoder", config, Context(registry=catalogue))
    decoder.schema(columns)
    [block] = decoder.blocks(BytesPayload(Split("k", "mem://object"), data))
    return decoder.decode(block)


def test_logs_whose_names_repeat_are_read_as_a_whole():
    data = b"".join(json.dumps(record(n)).encode() + b"\n" for n in range(5000))
    assert part_lines(data, 5000) == 5000


@pytest.mark.parametrize("where", ["record", "labels"])
def test_names_that_do_not_repeat_are_read_by_parts(where):
    records = []
    for n in range(1500):
        own = {f"own{n}_{place}": n for place in range(4)}
        records.append(record(n, **(own if where == "record" else {"labels": own})))
    records[700]["bytes"] = "many"
    records[1400]["start_time"] = "noon"
    data = b"".join(json.dumps(each).encode() + b"\n" for each in records)
    assert part_lines(data, 1500) < 1500
    done = block_of(data)
    assert done.batch.column("bytes").to_pylist() == [
        n for n in range(1500) if n not in {700, 1400}
    ]
    assert done.rejects.column("source_pos").to_pylist() == [701, 1401]
    assert json.loads(done.rejects.column("raw")[0].as_py())["bytes"] == "many"
    last = dict(done.batch.column("attrs")[-1].as_py())
    if where == "record":
        assert last == {"a": "b", **{f"own1499_{place}": "1499" for place in range(4)}}
    else:
        assert json.loads(last["labels"])["own1499_3"] == 1499
