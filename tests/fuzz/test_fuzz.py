"""Bytes from outside crash nothing, raise nothing, and are all accounted for.

Cases run in child processes, so that a crash is a finding. The short form runs the same cases each
time; `KTRANS_FUZZ_SECONDS=3600 python -m pytest tests/fuzz` runs new ones for as long.
"""

import io
import os
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktrans.api import BytesPayload, Context, RejectError, Split
from ktrans.kit.text.arrow_json import suits_arrow
from ktrans.registry.catalogue import Catalogue
from tests.examples import examples
from tests.fuzz.campaign import ROOT, campaign
from tests.fuzz.mutations import HOSTILE_LINES
from tests.fuzz.samples import OPTIONS, decoders, samples
from tests.fuzz.targets import decoded, guarded, names

SECONDS = float(os.environ.get("KTRANS_FUZZ_SECONDS", "0"))
LINES = (
    "alibaba_vpc", "aws_network_firewall", "aws_tgw", "aws_vpc", "cloudflare_network_analytics",
    "gcp_firewall", "gcp_vpc", "goflow2", "huawei_vpc", "hubble", "ktrans", "ktranslate", "oci_vcn",
    "ocsf", "tencent_ccn", "tencent_vpc", "flow_csv", "flow_json", "flow_kv",
)  # fmt: skip
"""Decoders of logs with a record a line."""


def rows_of(kind, data):
    """Return the addresses of the rows, and the reasons of the rejects."""
    catalogue = Catalogue()
    config = catalogue.config("decoder", {"type": kind, **OPTIONS.get(kind, {})})
    decoder = catalogue.build("decoder", config, Context(registry=catalogue))
    decoder.schema(None)
    rows, reasons = [], []
    for block in decoder.blocks(BytesPayload(Split("k", "mem://object"), data)):
        done = decoder.decode(block)
        rows += done.batch.select(["src_addr", "dst_addr", "bytes"]).to_pylist()
        reasons += [] if done.rejects is None else done.rejects.column("reason").to_pylist()
    return rows, reasons


def test_damaged_logs_crash_nothing_and_raise_nothing():
    count = examples(12)
    found = campaign([(target, 0, count) for target in names()], 600)
    assert not found, "\n".join(found[:5])


def test_new_damage_crashes_nothing_and_raises_nothing():
    """Look for new cases for `KTRANS_FUZZ_SECONDS`, or for some seconds."""
    command = [sys.executable, "-m", "tests.fuzz.campaign", str(SECONDS or 5)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout[-20_000:])
    assert done.returncode == 0


CRASHES = (
    b"null",
    b"null\n{}\n",
    b'null\n{}\n\n\n{"a":{"":[]}}\n',
    b"{}\nnull\n",
    b'{"a":1}null{"a":2}\n{}\n',
    b'{"a":1} \t null\n',
    b"\n null",
    b"\xef\xbb\xbfnull\n",
    b'null"a":{}\n',
)
"""Texts that ended the process, or read memory that was not theirs, in Arrow's JSON parser."""


@pytest.mark.parametrize("data", CRASHES)
def test_no_record_that_is_null_reaches_the_parser_that_crashes(data):
    records = data.count(b"\n") + (not data.endswith(b"\n"))
    assert not suits_arrow(data, records)


@pytest.mark.parametrize("kind", [kind for kind in decoders() if kind != "auto"])
def test_what_crashed_arrow_is_accounted_for(kind):
    for data in CRASHES:
        assert guarded(decoded, kind, data) is None


def test_arrow_still_reads_lines_of_objects():
    assert suits_arrow(b'{"a":null}\n{"a":[null,{"b":null}]}\n{}\n', 3)
    assert not suits_arrow(b'{"a":\n1}{}\n', 2)
    assert not suits_arrow(b"{}{}\n{}\0}\n{}\n", 3)


def test_only_one_module_calls_the_parsers_that_can_crash():
    callers = {
        str(path.relative_to(ROOT))
        for path in [*ROOT.glob("ktrans/**/*.py"), *ROOT.glob("plugins/*/ktrans_*/**/*.py")]
        if re.search(r"import pyarrow\.json|pyarrow import json", path.read_text())
    }
    assert callers == {"ktrans/kit/text/arrow_json.py"}


def test_whoever_decodes_foreign_json_catches_all_that_its_parser_raises():
    bare = re.compile(r"except[^\n]*msgspec\.DecodeError")
    for path in [*ROOT.glob("ktrans/**/*.py"), *ROOT.glob("plugins/*/ktrans_*/**/*.py")]:
        assert not bare.search(path.read_text()), path


def lines_of(kind):
    """Return a sample with a record a line; empty if the log has none."""
    sample = next(s for s in samples()[kind] if s.count(b"\n") > 2 and s[:1] not in (b"[", b"P"))
    return b"" if sample.startswith(b"{\n") else sample


@pytest.mark.parametrize("kind", [kind for kind in LINES if lines_of(kind)])
def test_a_bad_line_costs_no_good_one(kind):
    sample = lines_of(kind)
    head, _, rest = sample.partition(b"\n")
    clean, _ = rows_of(kind, sample)
    hostile = b"\n".join(HOSTILE_LINES)
    for name in (kind, "auto") if kind not in OPTIONS else (kind,):
        rows, reasons = rows_of(name, head + b"\n" + hostile + b"\n" + rest)
        assert [row for row in clean if row not in rows] == []
        assert len(reasons) > len(HOSTILE_LINES) // 2


@pytest.mark.parametrize("byte", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00"])
@pytest.mark.parametrize("kind", [kind for kind in LINES if lines_of(kind) and kind != "flow_csv"])
def test_a_byte_that_is_not_utf8_costs_its_line(kind, byte):
    lines = lines_of(kind).split(b"\n")
    place = len(lines[1]) // 2
    lines[1] = lines[1][:place] + byte + lines[1][place:]
    clean, _ = rows_of(kind, b"\n".join([lines[0], *lines[2:]]))
    for name in (kind, "auto") if kind not in OPTIONS else (kind,):
        rows, _ = rows_of(name, b"\n".join(lines))
        assert [row for row in clean if row not in rows] == []


def a_file(compression="none", **columns):
    made = io.BytesIO()
    pq.write_table(pa.table(columns), made, compression=compression)
    return made.getvalue()


def repeated(text, rows):
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))


def test_a_few_bytes_of_parquet_do_not_fill_the_memory():
    rows = 1 << 16
    address, long = repeated("10.0.0.1", rows), repeated("x" * 1_000_000, rows)
    times = pa.array([0] * rows, pa.timestamp("us", "UTC"))
    data = a_file("zstd", src_addr=address, dst_addr=address, log_type=long, start_time=times)
    assert len(data) < 5000
    with pytest.raises(RejectError, match="inflates to more than"):
        rows_of("ktrans", data)


def test_a_text_that_is_not_utf8_in_parquet_costs_its_row():
    whole = a_file(
        src_addr=pa.array(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]),
        dst_addr=["1.1.1.1"] * 4,
        log_type=["aws.vpc"] * 4,
        start_time=pa.array([0] * 4, pa.timestamp("us", "UTC")),
        bytes=[1, 2, 3, 4],
    )
    data = whole.replace(b"10.0.0.3", b"10.0.0\xff3")
    assert data != whole
    rows, reasons = rows_of("ktrans", data)
    assert [row["bytes"] for row in rows] == [1, 2, 4]
    assert reasons == ["bad_record"]


def test_a_date_that_python_cannot_have_is_shown_in_a_reject():
    data = a_file(
        src_addr=["10.0.0.1"],
        dst_addr=["1.1.1.1"],
        log_type=["aws.vpc"],
        start_time=pa.array([2**31 - 1], pa.date32()),
    )
    assert guarded(decoded, "ktrans", data) is None
