"""The JSON Schema says yes to what the loader takes, and no to plain mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from ktrans.config.schema import pipeline_schema
from ktrans.registry.catalogue import Catalogue

DRAFT_7 = jsonschema.Draft7Validator
CONFIGS = sorted((Path(__file__).parents[3] / "configs").rglob("*.yaml"))

GOOD = [
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: out/}]",
    (
        "source: {type: shop, paths: ['${env:A}'], depth: '${env:N}', strict: '${env:B:-true}', "
        "order: '${env:O}', token: x}\nsinks: [{type: box, path: out/}]"
    ),
    (
        "version: 1\nname: demo\nx-any: {a: [1]}\nsource: {type: shop, paths: [a], token: null}\n"
        "decoder: {type: auto}\nenrichers: [{type: trim, rename: {a: b}}]\n"
        "sinks: [{type: box, path: p, id: a, where: b > 1, columns: [c], format: {type: pack, level: 3}}]\n"
        "rejects: {type: file, path: r/, format: {type: jsonl}, limit: {ratio: 0.1}}\n"
        "engine: {workers: 2}\nlimits: {block_size: 65536}\nstate: {path: s.db}"
    ),
]
EMPTY = (
    "name",
    "decoder",
    "enrichers",
    "rejects",
    "state",
    "limits",
    "engine",
    "tests",
    "profiles",
)
GOOD += [
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: p, id: , where: , columns: }]\n"
    + "".join(f"{section}:\n" for section in EMPTY),
    (
        "name: flows-${env:A}\nsource: {type: shop, paths: [a]}\n"
        "sinks: [{type: box, path: p, id: 'to-${env:A}'}]"
    ),
]
PIECES = [
    "include: base.yaml",
    "include: [a.yaml]\nsource: {depth: 3}\nsinks: [{type: box, path: p}]",
    (
        "source: {type: shop, paths: [a]}\nsinks: [{include: s.yaml}]\n"
        "enrichers: [{type: trim}, {include: [a.yaml]}]\n"
        "profiles: {dev: {source: {depth: 2}, rejects: {limit: {ratio: 1}}}, prod: {include: x}, e: }"
    ),
    "source: {type: shop}\ndefault_profile: dev\nprofiles: {dev: {source: {paths: [a]}}}",
]
WRONG_PIECES = [
    "include: 7",
    "include: base.yaml\nsource: {dept: 3}",
    "include: base.yaml\nsuorce: {depth: 3}",
    "include: base.yaml\nsinks: [{path: p}]",
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: p}]\nprofiles: {dev: {sinc: []}}",
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: p}]\nprofiles: {d: {profiles: {}}}",
    "source: {type: shop, paths: [a]}\nsinks: [{include: s.yaml, id: x}]",
]
BAD = [
    "sinks: [{type: box, path: out/}]",
    "source: {type: shop}\nsinks: [{type: box, path: out/}]",
    "source: {type: nope}\nsinks: [{type: box, path: out/}]",
    "source: {type: shop, paths: [a], nope: 1}\nsinks: [{type: box, path: out/}]",
    "source: {type: shop, paths: [a], depth: deep}\nsinks: [{type: box, path: out/}]",
    "source: {type: shop, paths: [a], depth: 10}\nsinks: [{type: box, path: out/}]",
    "source: {type: shop, paths: [a]}\nsinks: []",
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: p, where: ' '}]",
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: p}]\nprofiles: {'': {}}",
    "name: -a\nsource: {type: shop, paths: [a]}\nsinks: [{type: box, path: p}]",
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: p, format: {type: box, path: p}}]",
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: p}]\nsink: []",
    "source: {type: shop, paths: [a]}\nsinks: [{type: box, path: p}]\nengine: {worker: 1}",
]


def parsed(text):
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("text", GOOD)
def test_good_files_are_valid_for_both(write, catalogue, text):
    from ktrans.config.load import load_pipeline

    DRAFT_7(pipeline_schema(catalogue)).validate(parsed(text))
    environ = {"A": "a", "N": "3", "O": "name"}
    assert load_pipeline(write(text), catalogue, environ=environ)


@pytest.mark.parametrize("text", PIECES)
def test_pieces_need_not_be_whole(catalogue, text):
    DRAFT_7(pipeline_schema(catalogue)).validate(parsed(text))


@pytest.mark.parametrize("text", WRONG_PIECES)
def test_plain_mistakes_in_pieces_are_invalid(catalogue, text):
    assert not DRAFT_7(pipeline_schema(catalogue)).is_valid(parsed(text))


@pytest.mark.parametrize("text", BAD)
def test_plain_mistakes_are_invalid_for_both(write, catalogue, text):
    from ktrans.api import ConfigError
    from ktrans.config.load import load_pipeline

    assert not DRAFT_7(pipeline_schema(catalogue)).is_valid(parsed(text))
    with pytest.raises(ConfigError):
        load_pipeline(write(text), catalogue, environ={})


def test_the_schema_of_what_is_installed_is_draft_7_and_complete():
    found = Catalogue(environ={"KTRANS_PLUGINS": ""})
    schema = pipeline_schema(found)
    DRAFT_7.check_schema(schema)
    text = json.dumps(schema)
    for newer in ("prefixItems", "unevaluatedProperties", "discriminator"):
        assert f'"{newer}":' not in text
    for kind in ("source", "format", "sink"):
        for spec in found.specs(kind):
            assert f"{kind}.{spec.type}" in schema["$defs"]
    assert references(schema) <= {f"#/$defs/{name}" for name in schema["$defs"]}


def references(node):
    if isinstance(node, list):
        return set().union(*map(references, node))
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if "$ref" in node else set()
    return own.union(*map(references, node.values()))


def test_a_valid_pipeline_of_built_in_components():
    schema = pipeline_schema(Catalogue(environ={"KTRANS_PLUGINS": ""}))
    text = """\
name: demo
source: {type: file, paths: [logs/]}
enrichers:
  - {type: filter, where: "action = 'reject' or bytes > 0"}
sinks:
  - {type: file, path: "out/date={start_time:%Y-%m-%d}/", format: {type: parquet, compression: zstd}}
  - {id: tsdb, type: file, path: out-influx/, format: {type: influx}, where: "log_status = 'OK'",
     columns: [start_time, bytes]}
rejects: {type: file, path: rejects/, limit: {ratio: 0.1}}
"""
    DRAFT_7(schema).validate(parsed(text))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_configs_that_we_ship_are_valid(path):
    DRAFT_7(pipeline_schema(Catalogue())).validate(parsed(path.read_text()))
