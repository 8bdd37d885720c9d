"""All errors of a pipeline file are reported at once, each with its place and its component."""

from __future__ import annotations

import pytest

from ktrans.api import ConfigError, ConfigErrors
from ktrans.config.load import load_pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.examine import examine
from ktrans.registry.catalogue import Catalogue

HEAD = "source: {type: file, paths: logs/}\ndecoder: {type: aws_vpc}\n"
SINKS = "sinks: [{type: stdout}]\n"


@pytest.fixture
def found(tmp_path):
    """Return the errors of a pipeline file: place, component, and first line of the message."""

    def found(text: str) -> list[tuple[str, str, str]]:
        path = tmp_path / "p.yaml"
        path.write_text(HEAD + text)
        catalogue = Catalogue()
        with pytest.raises(ConfigErrors) as caught:
            assemble(load_pipeline(path, catalogue), catalogue)
        return [
            (
                str(error.where).rpartition("p.yaml:")[2],
                error.component or "",
                error.message.splitlines()[0],
            )
            for error in caught.value.errors
        ]

    return found


def test_errors_of_all_stages_are_found_at_once(found):
    assert found(
        """\
enrichers:
  - {type: filter, where: bites > 5}
  - type: derive
    columns:
      kilo: byts / 1000
      mega: kilo / 1000
      giga: bytes / (
  - {type: filter, where: "mega > 3 and giga > 1"}
  - {type: filter, where: "protocol in (6, 'x')"}
  - type: select
    keep: [bytes, mega, packts]
sinks:
  - type: file
    path: out/
    where: acton = 'reject'
    columns: [bytes, mega, paket]
    format: {type: csv}
  - {type: stdout, where: bytes}
"""
    ) == [
        ("4:27", "enrichers[0] filter", "unknown column 'bites'"),
        ("7:13", "enrichers[1] derive", "unknown column 'byts'"),
        ("9:22", "enrichers[1] derive", "expected a value, found the end"),
        ("11:44", "enrichers[3] filter", "protocol is a number, not a name"),
        ("13:11", "enrichers[4] select", "select: keep: there is no column 'packts'"),
        ("17:12", "file", "unknown column 'acton'"),
        ("18:28", "file", "sink 'file': there is no column 'paket'"),
        ("20:27", "stdout", "this is an int, where a bool is needed"),
    ]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("where: action = 'reject' or bites > 1", "5:33"),
        ("where: \"action = 'reject' or bites > 1\"", "5:34"),
        ("where: 'bytes = 1 or bites > 1'", "5:26"),
        ("where: 'action = ''reject'' or bites > 1'", "5:12"),
        ("where: |\n      bytes = 1 or\n      bites > 1", "5:12"),
        ("where: >-\n      bytes = 1 or bites > 1", "5:12"),
        ("where: bytes = 1\n      or bites > 1", "5:12"),
    ],
)
def test_the_column_is_within_the_value_if_that_is_on_one_line(found, written, place):
    (error,) = found(f"enrichers:\n  - type: filter\n    {written}\n{SINKS}")
    assert error == (place, "enrichers[0] filter", "unknown column 'bites'")


def test_the_places_of_values_from_the_environment_are_those_of_the_reference(found, monkeypatch):
    monkeypatch.setenv("CONDITION", "bytes = 1 or bites > 1")
    (error,) = found(f'enrichers: [{{type: filter, where: "${{env:CONDITION}}"}}]\n{SINKS}')
    assert error[0] == "3:35"


def test_a_stage_behind_a_wrong_one_is_not_blamed_for_columns_that_it_lacks(found, tmp_path):
    (tmp_path / "sites.csv").write_text("prefix,site\n10.0.0.0/8,a\n")
    errors = found(
        """\
enrichers:
  - type: cidr
    table: sites.csv
    addresses: [src_addr, dst_adr]
  - type: derive
    columns: {here: "src_site = 'a'"}
  - type: filter
    where: here
sinks: [{type: stdout, where: "src_site = 'a' and here"}]
"""
    )
    assert [error[1] for error in errors] == ["enrichers[0] cidr"]


def test_hints_name_columns_that_no_other_stage_reads(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD}sinks: [{{type: stdout, columns: [bytes, dst_prt, zzzzzz]}}]\n")
    catalogue = Catalogue()
    with pytest.raises(ConfigErrors) as caught:
        assemble(load_pipeline(path, catalogue), catalogue)
    first, second = caught.value.errors
    assert first.hint == "did you mean 'dst_port'?"
    assert "src_addr, dst_addr, src_port" in str(second.hint)


def test_what_is_valid_but_hardly_meant_is_a_warning(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        """\
source: {type: file, paths: ["$HOME/logs", "$$HOME/logs", "a$b/logs", "${env:HOME}/logs"]}
enrichers:
  - {type: hash_addresses, salt: abcdefghijklmnopqrstuvw}
  - {type: hash_addresses, salt: "${env:SALT}", columns: [src_pkt_addr]}
  - {type: filter, where: "interface_id = '/$x/'"}
sinks:
  - {type: file, path: "out/$TENANT/", format: {type: csv}}
"""
    )
    environ = {"HOME": "/root", "SALT": "abcdefghijklmnopqrstuvw"}
    pipeline = load_pipeline(path, Catalogue(), environ=environ)
    assert [(str(w.where).rpartition("p.yaml:")[2], w.code) for w in pipeline.warnings] == [
        ("1:30", "shell_variable"),
        ("3:28", "secret_in_file"),
        ("7:24", "shell_variable"),
    ]
    assert all("abcdefgh" not in f"{w.message}{w.hint}{w.where!r}" for w in pipeline.warnings)


def test_a_secret_that_is_still_to_be_set_is_named(tmp_path):
    """A receiver with a token that everyone knows would let everyone in."""
    path = tmp_path / "p.yaml"
    path.write_text(
        """\
source:
  type: http
  endpoints:
    - {path: /in, protocol: ndjson, tokens: ["${env:IN_TOKEN:-set-me}"]}
sinks:
  - {type: loki, url: "http://loki:3100", user: a, password: "${env:LOKI:-set-me}"}
"""
    )
    pipeline = load_pipeline(path, Catalogue(), environ={})
    assert [(str(w.where).rpartition("p.yaml:")[2], w.code) for w in pipeline.warnings] == [
        ("4:45", "secret_unset"),
        ("6:62", "secret_unset"),
    ]
    pipeline = load_pipeline(path, Catalogue(), environ={"IN_TOKEN": "a" * 20, "LOKI": "b" * 20})
    assert pipeline.warnings == ()


def test_a_component_may_warn_of_its_own_options(tmp_path):
    """Also of secrets within lists."""
    path = tmp_path / "p.yaml"
    path.write_text(
        """\
source:
  type: http
  listen: 0.0.0.0:8088
  endpoints:
    - {path: /open, protocol: ndjson}
    - {path: /shut, protocol: ndjson, tokens: [abcdefgh]}
sinks:
  - {type: file, path: out/, format: {type: csv}}
"""
    )
    pipeline = load_pipeline(path, Catalogue())
    assert [(str(w.where).rpartition("p.yaml:")[2], w.code) for w in pipeline.warnings] == [
        ("3:11", "no_tls"),
        ("4:3", "open_endpoint"),
        ("6:39", "secret_in_file"),
    ]
    assert "/open" in pipeline.warnings[1].message
    assert all("abcdefgh" not in f"{w.message}{w.hint}{w.where!r}" for w in pipeline.warnings)


def test_errors_of_options_do_not_hide_errors_between_stages(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        """\
source: {type: file, pats: logs/}
enrichers:
  - {type: filter, where: bites > 5}
  - {type: derive, colums: {a: bytes}}
  - {type: filter, where: "a > 5"}
  - {type: filter, where: "a > ("}
  - {type: filter, where: "${env:MISSING}"}
sinks:
  - {type: stdout, where: "a > 5"}
  - {type: nothing}
"""
    )
    with pytest.raises(ConfigErrors) as caught:
        load_pipeline(path, Catalogue(), environ={}, examine=examine)
    assert [(str(e.where).rpartition("p.yaml:")[2], e.code) for e in caught.value.errors] == [
        ("1:22", "unknown_option"),
        ("3:27", "expression"),
        ("4:20", "unknown_option"),
        ("6:33", "expression"),
        ("7:27", "missing_env"),
        ("10:12", "unknown_component"),
    ]


def load_error(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + text)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(path, Catalogue(), environ={"SALT": "short"})
    return caught.value


def test_an_unknown_component_is_not_taken_for_one_that_is_hardly_like_it(tmp_path):
    error = load_error(tmp_path, "sinks: [{type: snowflake}]\n")
    assert str(error.hint).startswith("installed sinks: ")


def test_a_secret_that_is_too_short_is_no_list(tmp_path):
    text = 'enrichers: [{type: hash_addresses, salt: "${env:SALT}"}]\n'
    error = load_error(tmp_path, text + SINKS)
    assert "must be at least 16 characters long" in error.message
