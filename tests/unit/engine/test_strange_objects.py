"""Objects of which a named decoder can read nothing: exit 65, named, with what they look like."""

import io
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktrans.api import ExitCode
from ktrans.config.load import load_pipeline
from ktrans.engine.run import run
from ktrans.engine.run_context import RunOptions
from ktrans.registry.catalogue import Catalogue

PIPELINE = """\
name: strange
source: {{type: file, paths: [logs/], tail_wait: 0}}
decoder: {{type: {decoder}}}
sinks: [{{type: blackhole}}]
rejects: {{type: blackhole, limit: {{min_records: 1000000}}}}
"""

V2 = (
    b"2 111122223333 eni-0a1 10.0.0.1 10.0.0.2 40000 443 6 10 900 1700000000 1700000060 ACCEPT OK\n"
)


def decoded(folder, decoder, **objects):
    """Run a pipeline over some objects."""
    (folder / "logs").mkdir()
    for name, data in objects.items():
        (folder / "logs" / name).write_bytes(data)
    config = folder / "p.yaml"
    config.write_text(PIPELINE.format(decoder=decoder))
    catalogue = Catalogue()
    pipeline = load_pipeline(config, catalogue)
    return run(pipeline, catalogue, RunOptions(), None, threading.Event(), None)


def parquet():
    sink = io.BytesIO()
    pq.write_table(pa.table({"message": ["x"]}), sink)
    return sink.getvalue()


STRANGE = {
    "parquet under a JSON decoder": ("gcp_vpc", parquet(), "this is Parquet"),
    "parquet without flows": ("aws_vpc", parquet(), "this is Parquet"),
    "a table": (
        "hubble",
        b"timestamp,message\n1,a\n2,b\n",
        "a CSV with the columns timestamp, message",
    ),
    "other JSON": ("oci_vcn", b'{"a":1}\n{"a":2}\n', "JSON with the members a"),
    "another log": ("goflow2", V2, "decoder: {type: aws_vpc}"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_an_object_of_which_nothing_can_be_read_is_named(tmp_path, name):
    decoder, data, words = STRANGE[name]
    receipt = decoded(tmp_path, decoder, strange=data)
    assert receipt.exit_code == ExitCode.DATA
    told = [*receipt.strange.items(), *((q.uri, q.reason) for q in receipt.quarantined)]
    [(uri, looks)] = told
    assert uri.endswith("/strange")
    assert words in looks


def test_an_object_with_one_good_record_or_with_none_at_all_is_not_strange(tmp_path):
    receipt = decoded(tmp_path, "aws_vpc", mixed=V2 + b"rubbish\n", empty=b"")
    assert (receipt.exit_code, receipt.strange) == (ExitCode.OK, {})
