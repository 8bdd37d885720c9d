"""Several pipelines: in one file, in a folder, and which of them are meant."""

from __future__ import annotations

import pytest

from ktrans.api import ConfigError, UsageError
from ktrans.config.find_files import folder_of, pipeline_files
from ktrans.config.load import load_all, load_file, load_pipeline
from ktrans.config.yaml_read import read_documents

ONE = "name: one\nsource: {type: shop, paths: [a]}\nsinks: [{type: box, path: one/}]\n"
TWO = ONE.replace("one", "two")


def test_a_file_may_hold_several_pipelines(write, catalogue):
    path = write(f"# two of them\n{ONE}---\n{TWO}---\n")
    loaded = load_all([path], catalogue)
    assert [file.pipeline.name for file in loaded.files] == ["one", "two"]
    assert loaded.error() is None
    assert load_pipeline(path, catalogue, name="two").sinks[0].config.path == "two/"


def test_which_of_several_has_to_be_said(write, catalogue):
    path = write(f"{ONE}---\n{TWO}")
    with pytest.raises(UsageError, match="2 pipelines") as caught:
        load_file(path, catalogue)
    assert "--pipeline: one, two" in caught.value.hint
    with pytest.raises(UsageError, match="no pipeline named on") as caught:
        load_file(path, catalogue, name="on")
    assert "did you mean one?" in caught.value.hint
    with pytest.raises(UsageError, match="three"):
        load_all([path], catalogue, names=["one", "three"])
    assert [f.pipeline.name for f in load_all([path], catalogue, names=["two"]).files] == ["two"]


def test_one_of_several_can_be_had_though_another_is_wrong(write, catalogue):
    path = write(f"{ONE}---\nname: two\nsource: {{type: nope}}\n")
    assert load_pipeline(path, catalogue, name="one").name == "one"


def test_places_are_right_in_the_second_document(write, catalogue):
    path = write(f"{ONE}---\n{TWO.replace('paths', 'pths')}")
    loaded = load_all([path], catalogue)
    [(_, error)] = loaded.wrong
    assert error.where.line == 6
    assert "pths" in error.where.snippet


def test_each_of_several_needs_a_name_of_its_own(write, catalogue):
    nameless = load_all([write(f"{ONE}---\n{TWO.removeprefix('name: two')}")], catalogue)
    assert "needs a `name`" in nameless.error().message
    same = load_all([write(f"{ONE}---\n{ONE}")], catalogue).error()
    assert same.code == "duplicate_name"
    assert same.where.line == 5
    assert "demo.yaml:1" in same.message


def test_a_folder_stands_for_its_pipelines(write, catalogue, tmp_path):
    for name in ("b.yaml", "a.yml", "_shared.yaml", ".hidden.yaml", "a.tests.yaml", "notes.txt"):
        write(ONE.replace("one", name[0]), name)
    (tmp_path / "pieces").mkdir()
    write("- {type: trim}\n", "pieces/e.yaml")
    assert [path.name for path in pipeline_files([tmp_path])] == ["a.yml", "b.yaml"]
    assert [path.name for path in pipeline_files([tmp_path, tmp_path / "b.yaml"])] == [
        "a.yml",
        "b.yaml",
    ]
    assert len(load_all([tmp_path], catalogue).files) == 2


def test_a_folder_without_pipelines_is_an_error(tmp_path, catalogue):
    error = load_all([tmp_path], catalogue).error()
    assert error.code == "no_pipelines"
    assert "not searched" in error.hint


def test_what_is_wrong_with_one_stops_no_other(write, catalogue, tmp_path):
    write(ONE, "a.yaml")
    write("source: {type: nope}\n", "b.yaml")
    write("sinks: [", "c.yaml")
    loaded = load_all([tmp_path, tmp_path / "d.yaml"], catalogue)
    assert [file.pipeline.name for file in loaded.files] == ["one"]
    assert [path.name for path, _ in loaded.wrong] == ["b.yaml", "c.yaml", "d.yaml"]
    assert isinstance(loaded.error(), ConfigError)


def test_files_that_are_read_are_told_even_if_they_are_wrong(write, catalogue, tmp_path):
    from ktrans.config.draft import LoadOptions

    write("sinks: [{type: box, path: '${file:secret}'}]\n", "base.yaml")
    path = write("include: [base.yaml, missing.yaml]\n")
    wanted = LoadOptions(environ={})
    assert load_all([path], catalogue, wanted).wrong
    assert {file.name for file in wanted.seen} == {"demo.yaml", "base.yaml", "missing.yaml"}
    write("source: {type: shop, paths: [a]}\n", "missing.yaml")
    assert load_all([path], catalogue, wanted).wrong
    assert tmp_path / "secret" in wanted.seen


def test_a_linked_file_stands_for_its_target_but_not_within_a_config_map(tmp_path):
    for name in ("..2026_1", "..2026_2", "real"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").touch()
    (tmp_path / "..data").symlink_to("..2026_1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    (tmp_path / "b.yaml").symlink_to("c.yaml")
    (tmp_path / "c.yaml").symlink_to("real/a.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert folder_of(tmp_path / "a.yaml") == tmp_path.resolve()
    assert folder_of(tmp_path / "b.yaml") == (tmp_path / "real").resolve()
    assert folder_of(tmp_path / "loop.yaml") == tmp_path.resolve()


def test_lines_are_counted_as_yaml_counts_them(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("x-a: 'a\u2028b\u0085c'\r\nx-b: 1\r\n  wrong: 2\r\n".encode())
    with pytest.raises(ConfigError) as caught:
        read_documents(path)
    assert caught.value.where.line == 3
    assert "wrong: 2" in caught.value.where.snippet
