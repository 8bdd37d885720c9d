"""What holds for any input: records survive a round trip, junk never breaks anything."""

import contextlib
import gzip
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ktrans.api import Limits, RejectError, TruncatedError
from ktrans.decoders.aws.fields import TGW_FIELDS, VPC_FIELDS
from tests.examples import examples

quick = settings(
    max_examples=examples(50),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
word = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789-_./:", min_size=1, max_size=12
).filter(lambda text: text != "-")
ints = {"port": 65535, "protocol": 255, "small": 32767, "flags": 32767, "count": 2**63 - 1}


def values(field):
    """Return texts of a field with what they should become."""
    if field.kind in ints:
        present = st.integers(0, ints[field.kind]).map(lambda n: (str(n), n))
    elif field.kind == "time":
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        present = st.integers(0, 4_000_000_000).map(
            lambda n: (str(n), epoch + timedelta(seconds=n))
        )
    elif field.kind == "address":
        present = st.one_of(
            st.ip_addresses(v=4).map(lambda a: (str(a), str(a))),
            st.ip_addresses(v=6)
            .filter(lambda a: a.ipv4_mapped is None)
            .map(lambda a: (a.exploded, str(a))),
        )
    elif field.name in ("action", "flow-direction"):
        present = word.map(lambda text: (text, text.lower()))
    else:
        present = word.map(lambda text: (text, text))
    if field.name in ("srcaddr", "dstaddr"):
        return present
    return st.one_of(st.just(("-", None)), present)


@st.composite
def logs(draw, fields):
    ends = [field for field in fields if field.name in ("srcaddr", "dstaddr")]
    others = [field for field in fields if field not in ends]
    chosen = draw(st.lists(st.sampled_from(others), max_size=12, unique=True))
    chosen = draw(st.permutations([*chosen, *ends]))
    rows = draw(st.lists(st.tuples(*(values(field) for field in chosen)), min_size=1, max_size=12))
    return chosen, rows


@pytest.mark.parametrize(("decoder", "fields"), [("aws_vpc", VPC_FIELDS), ("aws_tgw", TGW_FIELDS)])
def test_records_of_any_layout_come_back(run, decoder, fields):
    @quick
    @given(logs(fields), st.sampled_from([64, 300, 1 << 20]), st.booleans())
    def holds(log, block, spoil):
        chosen, rows = log
        lines = [" ".join(field.name for field in chosen)]
        lines += [" ".join(text for text, _ in row) for row in rows]
        if spoil:
            lines.append("x " * (len(chosen) + 2))
        result = run(lines, decoder=decoder, limits=Limits(block_bytes=block))
        assert result.positions == list(range(2, len(rows) + 2))
        assert len(result.rejects) == spoil
        for row, expected in zip(result.rows, rows, strict=True):
            attrs = dict(row["attrs"] or [])
            for field, (_, value) in zip(chosen, expected, strict=True):
                if field.column in ("src_port", "dst_port"):
                    assert row[field.column] in (value, None)
                elif field.column == "interface_id" and value is None:
                    continue
                elif field.column is not None:
                    assert row[field.column] == value
                elif value is not None and field.name != "type":
                    assert attrs.pop(field.name) == str(value)
                    assert field.name not in attrs
            assert "-" not in attrs.values()

    holds()


line_of_sorts = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from(
            [
                "-",
                "2",
                "10.0.0.1",
                "::1",
                "5",
                "0x1",
                "eni-1",
                "#",
                "srcaddr",
                "bytes",
                "{",
                "\r",
                "\t",
                "",
                "é",
            ]
        ),
        max_size=16,
    ).map(lambda tokens: " ".join(tokens).encode()),
)


def test_junk_raises_nothing_but_refusals_and_everything_is_counted(run, v2, good):
    @quick
    @given(
        st.lists(line_of_sorts, max_size=12),
        st.sampled_from(
            [b"", v2.encode(), b"srcaddr bytes dstaddr", good.encode(), b"{", b"PAR1", b"\x1f\x8b"]
        ),
        st.sampled_from([None, ["bytes"], ["src_addr", "source_pos"]]),
    )
    def holds(lines, first, columns):
        data = b"\n".join([first, *lines])
        try:
            result = run(data, columns=columns)
        except (RejectError, TruncatedError):
            return
        if first[:1] != b"\x1f" and not data.lstrip().startswith(b"{"):
            count = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
            assert result.records == count
            again = run(data, columns=columns, limits=Limits(block_bytes=40))
            assert again.rows == result.rows
            assert again.rejects == result.rejects

    holds()


def test_junk_inside_gzip_raises_nothing_but_refusals(run, v2, good):
    packed = gzip.compress(f"{v2}\n{good}\n{good}\n".encode())

    @quick
    @given(st.integers(0, len(packed) - 1), st.integers(0, 255), st.booleans())
    def holds(place, byte, cut):
        data = bytearray(packed)
        data[place] = byte
        stored = bytes(data[:place] if cut else data)
        try:
            result = run(stored)
        except (RejectError, TruncatedError):
            return
        assert all(row["bytes"] == 900 for row in result.rows)
        assert stored == packed or result.rejects or not stored or len(result.rows) == 2

    holds()


def test_the_auto_decoder_survives_junk(run):
    @quick
    @given(
        st.binary(max_size=200), st.sampled_from([b"", b"PAR1", b"{", b"BZh9", b"\x28\xb5\x2f\xfd"])
    )
    def holds(data, magic):
        with contextlib.suppress(RejectError, TruncatedError):
            run(magic + data, decoder="auto")

    holds()
