"""One pipeline out of several files, and what differs from one environment to the next."""

from __future__ import annotations

import pytest

from ktrans.api import ConfigError, ConfigErrors
from ktrans.config.load import load_file, load_pipeline

SMALL = """\
source: {type: shop, paths: [logs/]}
sinks:
  - {type: box, path: out/}
"""


@pytest.fixture
def load(write, catalogue):
    def load(text: str, **files: str):
        for name, content in files.items():
            write(content, name.replace("__", "/").replace("_yaml", ".yaml"))
        return load_pipeline(write(text), catalogue, environ={})

    return load


@pytest.fixture
def fails(load):
    def fails(text: str, **files: str):
        with pytest.raises(ConfigError) as caught:
            load(text, **files)
        return caught.value

    return fails


def test_sections_of_an_included_file_are_merged_and_the_including_file_wins(load):
    pipeline = load(
        "include: base.yaml\nsource: {depth: 3}\nengine: {workers: 4}\n",
        base_yaml=SMALL.replace("[logs/]", "[a, b], depth: 1")
        + "engine: {workers: 1, poll_interval: 0.5}\n",
    )
    assert (pipeline.source.paths, pipeline.source.depth) == (["a", "b"], 3)
    assert (pipeline.engine.workers, pipeline.engine.poll_interval) == (4, 0.5)


def test_lists_and_components_of_another_type_are_replaced_whole(load):
    pipeline = load(
        "include: [one.yaml, two.yaml]\nsinks: [{type: file, path: mine/, format: {type: pack}}]\n",
        one_yaml=SMALL + "rejects: {type: box, path: r/}\nenrichers: [{type: trim}]\n",
        two_yaml="rejects: {type: file, path: rejects/}\nenrichers: [{type: trim}, {type: trim}]\n",
    )
    assert [sink.config.path for sink in pipeline.sinks] == ["mine/"]
    assert (pipeline.rejects.config.type, pipeline.rejects.config.path) == ("file", "rejects/")
    assert len(pipeline.enrichers) == 2


def test_lists_are_put_into_lists_in_their_place(load, tmp_path):
    (tmp_path / "shared").mkdir()
    pipeline = load(
        SMALL
        + "enrichers:\n  - {type: trim, rename: {a: b}}\n  - include: shared/e.yaml\n"
        + "  - {type: trim, rename: {z: y}}\n",
        shared__e_yaml="- {type: trim, rename: {c: d}}\n- include: more.yaml\n",
        shared__more_yaml="- {type: trim, rename: {e: f}}\n",
    )
    renames = [next(iter(enricher.rename)) for enricher in pipeline.enrichers]
    assert renames == ["a", "c", "e", "z"]


def test_paths_of_includes_go_by_their_own_file_and_all_others_by_the_pipeline(load, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "word").write_text("right")
    pipeline = load(
        "include: shared/base.yaml\n",
        shared__base_yaml="include: rest.yaml\nsource: {type: shop, paths: ['${file:word}']}\n",
        shared__rest_yaml="sinks: [{type: box, path: out/}]\n",
    )
    assert pipeline.source.paths == ["right"]
    assert pipeline.base_dir == tmp_path


def test_moving_a_piece_into_a_file_changes_no_fingerprint(load):
    whole = load(SMALL + "enrichers: [{type: trim}]\nname: p\n")
    pieces = load(
        "include: a.yaml\nname: p\nenrichers: [{include: b.yaml}]\n",
        a_yaml=SMALL,
        b_yaml="- {type: trim}\n",
    )
    assert whole.fingerprint == pieces.fingerprint


def test_mistakes_in_an_included_file_are_told_with_both_places(fails):
    error = fails(
        "name: p\ninclude: base.yaml\n",
        base_yaml="source: {type: shop, paths: [a]}\nsinks:\n  - {type: box, pth: out/}\n",
    )
    first = error.errors[0] if isinstance(error, ConfigErrors) else error
    assert str(first.where).endswith("base.yaml:3:17")
    assert "pth: out/" in first.where.snippet
    assert first.where.included.endswith("demo.yaml:2:10")


def test_rules_of_files_hold_in_included_ones_too(fails):
    twice = fails("include: base.yaml\n", base_yaml=SMALL + "name: a\nname: b\n")
    assert twice.code == "duplicate_key"
    assert twice.where.line == 5
    assert twice.where.included.endswith("demo.yaml:1:10")
    assert fails("include: base.yaml\n", base_yaml="a: [\n").code == "yaml"
    assert fails("include: base.yaml\n", base_yaml="a: 1\n---\nb: 1\n").code == "yaml_documents"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("include: nowhere.yaml\n", "include_not_found", "nowhere.yaml"),
        ("include: .\n", "include_not_found", "is a folder"),
        ("include: list.yaml\n", "wrong_type", "instead of sections"),
        ("include: {a: b}\n", "wrong_type", "a path or a list"),
        ("include: '${env:X}'\n", "wrong_type", "without references"),
        ("include: one.yaml\n", "include_circle", "indirectly"),
        ("include: demo.yaml\n", "include_circle", "includes itself"),
        (SMALL + "enrichers: [{include: map.yaml}]\n", "wrong_type", "instead of a list"),
        (
            SMALL + "enrichers: [{include: list.yaml, type: trim}]\n",
            "wrong_type",
            "`type` is not allowed",
        ),
        ("include: ~no-such-user/x.yaml\n", "include_not_found", "does not exist"),
        ('include: "a\\0b.yaml"\n', "wrong_type", "a path or a list"),
        (SMALL + "profiles: [a]\n", "wrong_type", "must be a mapping"),
        (SMALL + "profiles: {'': {}}\n", "wrong_type", "needs a name"),
        (SMALL + "profiles: {a: [b]}\n", "wrong_type", "the profile `a`"),
        (SMALL + "profiles: {a: {profiles: {}}}\n", "wrong_type", "cannot have"),
        (SMALL + "default_profile: a\n", "unknown_profile", "no profile 'a'"),
    ],
)
def test_includes_and_profiles_of_the_wrong_shape(fails, text, code, said):
    error = fails(
        text,
        one_yaml="include: two.yaml\n",
        two_yaml="include: one.yaml\n",
        list_yaml="- {type: trim}\n",
        map_yaml="type: trim\n",
    )
    assert error.code == code
    assert said in error.message
    assert error.where.line


def test_files_that_include_each_other_many_times_are_stopped(fails):
    files = {f"f{n}_yaml": f"include: [{', '.join([f'f{n + 1}.yaml'] * 9)}]\n" for n in range(8)}
    assert fails("include: f0.yaml\n", f8_yaml="{}", **files).code == "include_limit"


def test_a_secret_of_an_included_file_is_in_no_snippet(fails):
    error = fails(
        "include: base.yaml\n",
        base_yaml="source: {type: shop, token: hush-hush, pths: [a]}\nsinks: [{type: box, path: o/}]\n",
    )
    shown = [one.where.snippet for one in getattr(error, "errors", [error])]
    assert all("hush" not in snippet for snippet in shown)


PROFILES = (
    SMALL
    + """\
profiles:
  dev:
    sinks: [{type: box, path: dev/}]
  prod:
    include: prod.yaml
    source: {depth: 2}
"""
)


@pytest.mark.parametrize(
    ("asked", "environ", "path", "depth"),
    [
        (None, {}, "out/", 3),
        ("dev", {}, "dev/", 3),
        ("prod", {}, "lake/", 2),
        (None, {"KTRANS_PROFILE": "dev"}, "dev/", 3),
        ("prod", {"KTRANS_PROFILE": "dev"}, "lake/", 2),
        (None, {"KTRANS_PROFILE": ""}, "out/", 3),
    ],
)
def test_a_profile_is_laid_over_the_pipeline(write, catalogue, asked, environ, path, depth):
    write("sinks: [{type: box, path: lake/}]\n", "prod.yaml")
    file = load_file(write(PROFILES), catalogue, environ=environ, profile=asked)
    (sink,) = file.pipeline.sinks
    assert sink.config.path == path
    assert file.pipeline.source.depth == depth


def test_a_default_profile_is_taken_if_none_is_chosen(write, catalogue):
    text = PROFILES.replace("  prod:", "  other:") + "default_profile: dev\n"
    write("sinks: [{type: box, path: lake/}]\n", "prod.yaml")
    path = write(text)
    assert load_pipeline(path, catalogue, environ={}).sinks[0].config.path == "dev/"
    assert load_pipeline(path, catalogue, environ={}, profile="other").source.depth == 2


def test_an_unknown_profile_is_told_with_those_there_are(write, catalogue):
    with pytest.raises(ConfigError) as caught:
        load_pipeline(write(PROFILES.replace("prod.yaml", "[]")), catalogue, profile="prd")
    assert caught.value.code == "unknown_profile"
    assert "did you mean `prod`? the profiles are: dev, prod" in caught.value.hint


def test_a_pipeline_without_profiles_is_the_same_under_each(write, catalogue):
    assert load_pipeline(write(SMALL), catalogue, environ={}, profile="prod").source.depth == 3


def test_mistakes_within_a_profile_are_told_at_their_line(write, catalogue):
    text = SMALL + "profiles:\n  dev:\n    source: {dept: 2}\n"
    with pytest.raises(ConfigError) as caught:
        load_pipeline(write(text), catalogue, environ={}, profile="dev")
    assert caught.value.where.line == 6
    assert "did you mean `depth`" in caught.value.hint


def test_nothing_in_a_profile_takes_a_section_away(write, catalogue):
    path = write(SMALL + "enrichers: [{type: trim}]\nprofiles: {dev: {enrichers: }}\n")
    assert len(load_pipeline(path, catalogue, environ={}).enrichers) == 1
    assert load_pipeline(path, catalogue, environ={}, profile="dev").enrichers == ()
