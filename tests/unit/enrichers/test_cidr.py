"""cidr: tables of prefixes in three formats, lookups, and errors that name file and line."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from pydantic import ValidationError

from ktrans.api import ConfigError, Context
from ktrans.enrichers.cidr import CidrEnricher, CidrEnricherConfig
from ktrans.flow.schema import TEXT

CSV = """prefix,name,site
0.0.0.0/0,internet,
10.0.0.0/8,corp,hq
10.1.0.0/16,lab,
10.1.2.3,printer,hq
2001:db8::/32,docs6,hq
"""
ROWS = [
    {"prefix": "0.0.0.0/0", "name": "internet"},
    {"prefix": "10.0.0.0/8", "name": "corp", "site": "hq"},
    {"prefix": "10.1.0.0/16", "name": "lab", "site": None},
    {"prefix": "10.1.2.3", "name": "printer", "site": "hq"},
    {"prefix": "2001:db8::/32", "name": "docs6", "site": "hq"},
]
YAML = """
0.0.0.0/0: {name: internet}
10.0.0.0/8: {name: corp, site: hq}
10.1.0.0/16: {name: lab}
10.1.2.3: {name: printer, site: hq}
"2001:db8::/32": {name: docs6, site: hq}
"""
TABLES = {"t.csv": CSV, "t.json": json.dumps(ROWS, indent=1), "t.yaml": YAML}


def make(folder, name, text, **options):
    (folder / name).write_text(text, encoding="utf-8")
    return CidrEnricher(CidrEnricherConfig(table=name, **options), Context(base_dir=folder))


def batch_of(*texts, kind=TEXT):
    column = pa.array(texts, pa.string())
    column = column.dictionary_encode() if kind == TEXT else column.cast(kind)
    return pa.record_batch({"src_addr": column, "dst_addr": column})


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("kind", [TEXT, pa.string(), pa.large_string()])
def test_the_longest_prefix_wins(tmp_path, name, kind):
    enricher = make(tmp_path, name, TABLES[name])
    batch = batch_of(
        "10.1.2.3", "10.1.2.4", "10.2.0.0", "8.8.8.8", None, "2001:db8::1", "::ffff:10.1.9.9",
        "fe80::1", "10.1.2", kind=kind,
    )  # fmt: skip
    schema = enricher.bind(batch.schema)
    out = enricher.apply(batch)
    assert out.schema.equals(schema, check_metadata=True)
    out.validate(full=True)
    assert out["src_name"].to_pylist() == [
        "printer", "lab", "corp", "internet", None, "docs6", "lab", None, None,
    ]  # fmt: skip
    assert out["dst_site"].to_pylist() == ["hq", None, "hq", None, None, "hq", None, None, None]
    assert list(enricher.adds()) == ["src_name", "src_site", "dst_name", "dst_site"]


def test_columns_addresses_and_naming(tmp_path):
    enricher = make(
        tmp_path, "t.csv", CSV, columns=["site"], addresses=["dst_addr"], naming="{side}_net_{column}"
    )  # fmt: skip
    assert enricher.bind(batch_of("10.1.1.1").schema).names == [
        "src_addr",
        "dst_addr",
        "dst_net_site",
    ]
    assert list(enricher.needs()) == ["dst_addr"]


def test_values_that_are_not_text_become_text(tmp_path):
    rows = [{"prefix": "10.0.0.0/8", "vlan": 7, "prod": True}]
    enricher = make(tmp_path, "t.json", json.dumps(rows))
    enricher.bind(batch_of("x").schema)
    out = enricher.apply(batch_of("10.0.0.1"))
    assert (out["src_vlan"].to_pylist(), out["src_prod"].to_pylist()) == (["7"], ["true"])


def test_a_mapping_of_prefix_to_name(tmp_path):
    enricher = make(tmp_path, "t.yml", "10.0.0.0/8: corp\n")
    enricher.bind(batch_of("x").schema)
    assert enricher.apply(batch_of("10.0.0.1"))["src_name"].to_pylist() == ["corp"]


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("t.csv", "prefix,name\n10.0.0.0/8,a\n10.0.0.1/8,b\n", 3, "did you mean 10.0.0.0/8"),
        (
            "t.csv",
            "prefix,name\n10.0.0.0/8,a\n\n10.0.0.0/8,b\n",
            4,
            "listed twice, first on line 2",
        ),
        ("t.csv", "prefix,name\n10.0.0.0/8,a,b\n", 2, "3 cells, where the header has 2"),
        ("t.csv", "prefix,name\n,a\n", 2, "no prefix"),
        ("t.csv", 'prefix,name\n10.0.0.0/8,"a\n', 2, "unexpected end of data"),
        ("t.csv", "cidr,name\n10.0.0.0/8,a\n", 1, "no column 'prefix'"),
        ("t.json", '[\n{"prefix": "10.0.0.0/8"},\n{"prefix": "nope"}\n]', 3, "not an address"),
        ("t.json", '[\n{"prefix": "10.0.0.0/8"},\n', 3, "Expecting value"),
        ("t.json", '[{"prefix": "10.0.0.0/8", "name": ["a"]}]', 1, "neither text nor a number"),
        ("t.yaml", "- prefix: 10.0.0.0/8\n- prefix: nope\n", 2, "not an address"),
        ("t.yaml", "10.0.0.0/8: a\n10.0.0.1/8: b\n", 2, "did you mean"),
        ("t.yaml", "- a: [\n", 2, ""),
        ("t.yaml", "text\n", 1, "expected a list of rows"),
    ],
)
def test_a_bad_table_is_an_error_with_file_and_line(tmp_path, name, text, line, message):
    enricher = make(tmp_path, name, text)
    with pytest.raises(ConfigError) as error:
        enricher.bind(batch_of("10.0.0.1").schema)
    assert message in error.value.message
    assert error.value.where.file.endswith(name)
    assert error.value.where.line == line


def test_files_that_cannot_be_read(tmp_path):
    enricher = CidrEnricher(CidrEnricherConfig(table="no.csv"), Context(base_dir=tmp_path))
    with pytest.raises(ConfigError, match=r"cannot read the table .*no.csv"):
        enricher.bind(batch_of("x").schema)
    with pytest.raises(ConfigError, match="cannot tell the format"):
        make(tmp_path, "t.txt", "").bind(batch_of("x").schema)


def test_what_does_not_fit_the_schema(tmp_path):
    enricher = make(tmp_path, "t.csv", CSV)
    with pytest.raises(ConfigError, match="no column 'src_addr'") as error:
        enricher.bind(pa.schema([("src_adr", TEXT)]))
    assert "'src_adr'" in error.value.hint
    with pytest.raises(ConfigError, match="where text is needed"):
        enricher.bind(pa.schema([("src_addr", pa.int64()), ("dst_addr", TEXT)]))
    with pytest.raises(ConfigError, match="already a column 'dst_name'"):
        enricher.bind(pa.schema([("src_addr", TEXT), ("dst_addr", TEXT), ("dst_name", TEXT)]))


def test_the_constructor_reads_nothing_and_naming_is_checked():
    CidrEnricher(CidrEnricherConfig(table="nowhere.csv"))
    with pytest.raises(ValidationError, match="placeholders"):
        CidrEnricherConfig(table="t.csv", naming="{colum}")
