"""From a file to a pipeline, when the file is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktrans.api import ConfigError
from ktrans.config.load import load_pipeline

SMALL = """\
source: {type: shop, paths: [logs/]}
sinks:
  - {type: box, path: out/}
"""


def test_what_is_left_out_has_sensible_defaults(write, catalogue):
    path = write(SMALL, "My flows.v2.yaml")
    pipeline = load_pipeline(path, catalogue, environ={})
    assert pipeline.name == "My-flows"
    assert pipeline.decoder.type == "auto"
    assert pipeline.rejects.config.type == "file"
    assert pipeline.rejects.config.path == ".ktrans/rejects/My-flows/"
    assert pipeline.rejects.config.format.type == "jsonl"
    assert pipeline.rejects.limit.ratio == 0.25
    assert (pipeline.state.type, pipeline.state.path) == ("sqlite", ".ktrans/state.db")
    assert pipeline.base_dir == path.parent


def test_nested_components_are_validated_by_their_own_models(write, catalogue):
    text = SMALL.replace("path: out/", "path: out/, format: {type: pack, level: '7'}")
    (sink,) = load_pipeline(write(text), catalogue, environ={}).sinks
    assert type(sink.config.format).__name__ == "PackConfig"
    assert sink.config.format.level == 7


def test_rejects_are_jsonl_unless_they_say_otherwise(write, catalogue):
    text = SMALL + "rejects: {type: file, path: r/, limit: {ratio: 0.1}}\n"
    rejects = load_pipeline(write(text), catalogue, environ={}).rejects
    assert (rejects.config.format.type, rejects.limit.ratio) == ("jsonl", 0.1)
    text = text.replace("path: r/", "path: r/, format: {type: pack}")
    assert load_pipeline(write(text), catalogue, environ={}).rejects.config.format.type == "pack"


def test_sinks_have_ids_of_their_own(write, catalogue):
    text = """\
source: {type: shop, paths: [logs/]}
sinks:
  - {type: box, path: a/}
  - {type: box, path: b/}
  - {type: box, path: c/, id: box-3, where: "bytes > 0", columns: [bytes, packets]}
  - {type: box, path: d/}
"""
    sinks = load_pipeline(write(text), catalogue, environ={}).sinks
    assert [sink.id for sink in sinks] == ["box", "box-2", "box-3", "box-4"]
    assert (sinks[2].where, sinks[2].columns) == ("bytes > 0", ("bytes", "packets"))
    assert (sinks[0].where, sinks[0].columns) == (None, None)


def test_yaml_is_version_1_2(write, catalogue):
    text = SMALL.replace("[logs/]", "[no, on, 2024-01-01, 1e3x]").replace(
        "shop,", "shop, depth: 007,"
    )
    source = load_pipeline(write(text), catalogue, environ={}).source
    assert source.paths == ["no", "on", "2024-01-01", "1e3x"]
    assert source.depth == 7


def test_anchors_and_merges_work_and_x_sections_are_free(write, catalogue):
    text = """\
x-common: &common {type: box, format: {type: pack}}
source: {type: shop, paths: [logs/]}
sinks:
  - {<<: *common, path: a/}
  - <<: *common
    path: b/
    format: {type: jsonl}
"""
    one, two = load_pipeline(write(text), catalogue, environ={}).sinks
    assert (one.config.path, one.config.format.type) == ("a/", "pack")
    assert (two.config.path, two.config.format.type) == ("b/", "jsonl")


def test_anchors_that_multiply_are_stopped(write, catalogue):
    lines = ["x-0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    lines += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="too many values"):
        load_pipeline(write("\n".join(lines)), catalogue, environ={})


def test_settings_come_from_their_sections(write, catalogue):
    text = SMALL + "engine: {workers: '2', poll_interval: 0.5}\nlimits: {max_line_size: 4096}\n"
    pipeline = load_pipeline(write(text), catalogue, environ={})
    assert (pipeline.engine.workers, pipeline.engine.poll_interval) == (2, 0.5)
    assert pipeline.limits.max_line_size == 4096


def test_the_fingerprint_follows_what_rows_go_through_and_no_secret(write, catalogue):
    text = SMALL.replace("path: out/", "path: '${env:OUT}'")

    def fingerprint(text, **environ):
        return load_pipeline(write(text), catalogue, environ=environ).fingerprint

    first = fingerprint(text, OUT="a/")
    assert first == fingerprint(text, OUT="b/")
    assert first == fingerprint(text.replace("logs/", "other/") + "name: x\n", OUT="a/")
    assert first != fingerprint(text + "enrichers: [{type: trim}]\n", OUT="a/")


def test_a_place_in_the_file_is_found_for_any_path(write, catalogue):
    text = SMALL.replace("out/", "out/, format: {type: pack, level: 3}")
    where = load_pipeline(write(text), catalogue, environ={}).where
    assert str(where("sinks", 0, "format", "level")).endswith("demo.yaml:3:57")
    assert str(where("sinks", 0, "format.level")).endswith("demo.yaml:3:57")
    assert where("sinks", 0, "missing").line == 3
    assert where("decoder").line == 1
    assert "^" in where("source", "paths").snippet


def test_only_components_that_are_named_are_imported(write):
    import subprocess
    import sys

    path = write("source: {type: stdin}\nsinks: [{type: blackhole}]\nrejects: {type: blackhole}\n")
    code = f"""
import sys
from ktrans.config.load import load_pipeline
from ktrans.registry.catalogue import Catalogue
from ktrans.api import KtransError
try:
    load_pipeline({str(path)!r}, Catalogue())
except KtransError:
    pass
print([m for m in sys.modules if m.startswith(("ktrans.formats.p", "ktrans.sinks.file"))])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_a_folder_given_as_a_relative_path_works(write, catalogue, monkeypatch):
    path = write(SMALL)
    monkeypatch.chdir(path.parent)
    assert load_pipeline("demo.yaml", catalogue, environ={}).base_dir == Path.cwd()
