"""Damages good logs at random: every damage follows from a seed, so each finding can be repeated."""

import base64
import bz2
import gzip
import io
import json
import random
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq

LONG = "many digits"
"""Stands for an integer of so many digits that Python itself refuses to write it."""
DEEP = b"[" * 3000 + b"]" * 3000
HOSTILE_LINES = (
    b"null",
    b"{}",
    b"[]",
    b'{"a":{"":[]}}',
    b'{"":null}',
    b'{"a":[null,{"":[null]}]}',
    b'{"a":1,"a":"2"}',
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b'{"a":' + DEEP + b"}",
    b'{"a":"\\ud800"}',
    b'{"a":' + b"9" * 10_000 + b"}",
    b'{"a":1e999,"b":NaN}',
    b"{}{}",
    b'{}null{"a":',
    b'{"a":{}',
    b'{"a":\xff"}',
    b'{"a":"\xff"}',
    b'{"a":"b\x00c"}',
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\r",
    b" \t ",
    b'"',
    b"x" * 70_000,
    b"\x1f\x8b",
    b"PAR1",
    b"9" * 10_000,
)
"""Lines that are no record of any log."""
VALUES = (
    None, {}, [], [None], [[]], {"": None}, {"": [None]}, {"a": {"": []}}, "", " ", "-", "null",
    0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**40, LONG, -(2**63), -(10**300),
    0.5, -0.0, 1e300, 1.7976931348623157e308, True, False, "\ud800", "\x00", "x" * 5000, "9" * 5000,
    "1e999", "NaN", "0x10", "2128-01-01T00:00:00Z", "0000-00-00 00:00:00", "9999-12-31T23:59:59Z",
    "+262142-01-01T00:00:00Z", "10.0.0.256", "::ffff:1.2.3.4", "fe80::1%eth0", "1.2.3.4/33",
    [1, "a", None, {}], {"a": 1, "b": [{}]}, [{"a": None}, {"a": [1]}], "é" * 50, "\u2028",
)  # fmt: skip
TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\n", b"\r\n", b"\r", b"\t", b" ", b"null", b'""',
    b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\\", b'\\"', b"\\u",
    b"\\ud800", b"-", b"0x1", b"1e999", b"NaN", b"Infinity", b"9" * 400, b"#", b"null\n", b"\nnull\n",
    b"{}\n", b'{"a":{"":[]}}\n', b"}{", b"}null", b"\n\n",
)  # fmt: skip


JSON_TOKENS = (
    b"null", b"1", b"2.5", b"true", b'""', b'"x"', b"{}", b"[]", b"[null]", b'"2026-01-01"', b"[{}]",
    b"123456789012345678901234567890", b"{", b"}", b"[", b"]", b'"":', b'"a":', b'"b":', b",", b"\n",
    b"\n", b" ", b"\x00", b"\xff", b"\\", b'"', b"}null", b"-", b"NaN", b"{}\n{}\n", b'{"a":',
)  # fmt: skip
CSV_TOKENS = (
    b"1", b"2", b"a", b"0x1f", b"", b"-", b'"', b"'", b'""', b"\n", b"\n", b"\r", b"\r\n", b"a,b,c\n",
    b"\x00", b"\xff", b"\xc3\xa9", b"9" * 30, b"1.5", b" ", b"\t", b"#", b"\xef\xbb\xbf", b"\\",
)  # fmt: skip


def damaged(chance: random.Random, sample: bytes) -> bytes:
    """Return a sample with some random damage."""
    if sample.startswith(b"PAR1"):
        return _parquet(chance, sample)
    data = sample
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        data = chance.choice((_bytes, _tokens, _lines, _values, _values, _fields, _cut))(
            chance, data
        )
    return _wrapped(chance, data)


def _bytes(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _tokens(chance: random.Random, data: bytes) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(TOKENS) + data[at + chance.choice((0, 0, 1, 3)) :]


def _lines(chance: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = chance.randint(0, len(lines))
    deed = chance.randrange(4)
    if deed == 0:
        lines.insert(at, chance.choice(HOSTILE_LINES))
    elif deed == 1:
        lines[at:at] = [chance.choice(HOSTILE_LINES) for _ in range(chance.randint(1, 5))]
    elif deed == 2:
        lines.insert(at, chance.choice(lines))
    else:
        chance.shuffle(lines)
    return b"\n".join(lines)


def _cut(chance: random.Random, data: bytes) -> bytes:
    first, last = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    return chance.choice((data[:first], data[last:], data[:first] + data[last:], data[first:last]))


def _fields(chance: random.Random, data: bytes) -> bytes:
    """Replace a word of a line."""
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    for mark in (b"\t", b",", b" "):
        if mark in lines[at]:
            words = lines[at].split(mark)
            value = chance.choice(VALUES)
            words[chance.randrange(len(words))] = _text(value).encode("utf-8", "surrogatepass")
            lines[at] = mark.join(words)
            break
    return b"\n".join(lines)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _values(chance: random.Random, data: bytes) -> bytes:
    """Replace, drop, rename or repeat values in a JSON record."""
    try:
        whole = json.loads(data)
        return _json(_changed(chance, whole), indent=chance.choice((None, 1)))
    except (ValueError, RecursionError):
        pass
    lines = data.split(b"\n")
    for at in chance.sample(range(len(lines)), min(len(lines), 4)):
        try:
            record = json.loads(lines[at])
        except (ValueError, RecursionError):
            continue
        lines[at] = _json(_changed(chance, record))
        if chance.random() < 0.1 and lines[at].startswith(b'{"'):
            lines[at] = b"{" + lines[at][1:-1] + b"," + lines[at][1:]
        break
    return b"\n".join(lines)


def _json(value: object, indent: int | None = None) -> bytes:
    text = json.dumps(value, indent=indent).replace(f'"{LONG}"', "9" * 10_000)
    return text.encode()


def _changed(chance: random.Random, value: object) -> object:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        deed = chance.random()
        if deed < 0.75:
            return {**value, key: _changed(chance, value[key])}
        kept = {name: each for name, each in value.items() if name != key}
        return kept if deed < 0.9 else {**kept, chance.choice(("", "a", "\ud800")): value[key]}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [*value[:at], _changed(chance, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and value[:1] in "{[" and chance.random() < 0.7:
        try:
            return _json(_changed(chance, json.loads(value))).decode()
        except (ValueError, RecursionError):
            pass
    return chance.choice(VALUES)


def _wrapped(chance: random.Random, data: bytes) -> bytes:
    deed = chance.random()
    if deed < 0.85:
        return data
    if deed < 0.87:
        return data.decode("utf-8", "replace").encode("utf-16")
    if deed < 0.9:
        return packed(chance, data)
    return _tokens(chance, chance.choice((_zipped, _base64, _messages))(chance, data))


def _zipped(chance: random.Random, data: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(chance.randint(1, 3)):
            archive.writestr(f"{number}.log", data)
    return made.getvalue()


def _base64(chance: random.Random, data: bytes) -> bytes:
    return base64.b64encode(packed(chance, data))


def _messages(chance: random.Random, data: bytes) -> bytes:
    """Return each line as the text of a member, as shippers of logs write it."""
    name = chance.choice(("message", "log", "logContent", "@message", "data"))
    lines = data.decode("utf-8", "replace").split("\n")
    return b"\n".join(json.dumps({name: line, "time": "now"}).encode() for line in lines)


def packed(chance: random.Random, data: bytes) -> bytes:
    """Return data compressed, and perhaps damaged after that."""
    whole = chance.choice((gzip.compress, bz2.compress, _zstd))(data)
    return chance.choice(
        (whole, _bytes(chance, whole), _cut(chance, whole), whole * 2, _tokens(chance, whole))
    )


def _zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


def json_soup(chance: random.Random) -> bytes:
    """Return a short text of what JSON is made of, which may be JSON."""
    if chance.random() < 0.4:
        return b"".join(chance.choice(JSON_TOKENS) for _ in range(chance.randint(1, 24)))
    makers = (_soup_object,) * 3 + (_soup_value, lambda chance, _: _json(chance.choice(VALUES)))
    lines = [
        chance.choice(makers)(chance, chance.randint(0, 3)) for _ in range(chance.randint(1, 6))
    ]
    data = b"\n".join(lines)
    return _tokens(chance, data) if chance.random() < 0.3 else data


def _soup_object(chance: random.Random, depth: int) -> bytes:
    members = [
        b'"%b":%b' % (chance.choice((b"", b"a", b"b")), _soup_value(chance, depth - 1))
        for _ in range(chance.randint(0, 3))
    ]
    return b"{" + b",".join(members) + b"}"


def _soup_value(chance: random.Random, depth: int) -> bytes:
    deed = chance.random()
    if depth <= 0 or deed < 0.35:
        return chance.choice(JSON_TOKENS[:12])
    if deed < 0.7:
        return _soup_object(chance, depth)
    values = [_soup_value(chance, depth - 1) for _ in range(chance.randint(0, 2))]
    return b"[" + b",".join(values) + b"]"


def text_soup(chance: random.Random, delimiter: str) -> bytes:
    """Return a short text of what delimited text is made of."""
    tokens = (*CSV_TOKENS, delimiter.encode() * 2, *(delimiter.encode(),) * 8)
    return b"".join(chance.choice(tokens) for _ in range(chance.randint(1, 40)))


def _parquet(chance: random.Random, data: bytes) -> bytes:
    """Damage a Parquet file: its pages, its footer, or the types of its columns."""
    data = _columns(chance, data) if chance.random() < 0.6 else data
    deed = chance.random()
    if deed < 0.3:
        return data
    if deed < 0.7:
        start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        return data[:start] + _bytes(chance, data[start:-8]) + data[-8:]
    return chance.choice((_bytes, _tokens, _cut))(chance, data)


def _columns(chance: random.Random, data: bytes) -> bytes:
    """Write a Parquet file again with a column of another type."""
    table = pq.read_table(io.BytesIO(data))
    at = chance.randrange(table.num_columns)
    name = table.column_names[at]
    rows = table.num_rows
    value = chance.choice(
        (
            pa.nulls(rows),
            pa.array([2**63 - 1] * rows),
            pa.array([float("nan")] * rows),
            pa.array([b"\xff\x00"] * rows),
            pa.array(["\x00"] * rows),
            pa.array([[1, None]] * rows),
            pa.array([{"a": {"": None}}] * rows),
            pa.array([2**60] * rows, pa.timestamp("us")),
            pa.array([-(2**62)] * rows, pa.timestamp("ns", "UTC")),
            pa.array([2**31 - 1] * rows, pa.date32()),
            pa.array(["x"] * rows).dictionary_encode(),
            pa.array([True] * rows),
        )
    )
    made = io.BytesIO()
    pq.write_table(
        table.set_column(at, name, value),
        made,
        compression=chance.choice(("none", "snappy", "gzip", "zstd", "lz4", "brotli")),
        data_page_version=chance.choice(("1.0", "2.0")),
        use_dictionary=chance.random() < 0.5,
        row_group_size=chance.choice((1, 7, 1000)),
        coerce_timestamps="us",
        allow_truncated_timestamps=True,
    )
    return made.getvalue()
