"""What a person sees who has made a typical mistake."""

from __future__ import annotations

import time

import pytest

from ktrans.api import ConfigError, ConfigErrors
from ktrans.config.load import load_pipeline

SHOP = "source: {type: shop, paths: [logs/]}\n"
BOX = "sinks: [{type: box, path: out/}]\n"
GOOD = SHOP + BOX


@pytest.fixture
def wrong(write, catalogue):
    """Load a file that is wrong in one way, and give the error."""

    def wrong(text: str, **environ: str) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            load_pipeline(write(text), catalogue, environ=environ)
        found = getattr(caught.value, "errors", [caught.value])
        assert [str(one) for one in found] == [str(found[0])]
        return found[0]

    return wrong


def shown(error: ConfigError) -> str:
    place = str(error.where).rpartition("/")[2]
    return f"{error.code}|{place}|{error.message}|{error.hint or ''}"


CASES = {
    "unknown option": (
        "source: {type: shop, pahts: [x], paths: [x]}\n" + BOX,
        (
            "unknown_option|demo.yaml:1:22|source shop has no option `pahts`|the options are: depth, "
            "order, paths, ratio, region, strict, token, type"
        ),
    ),
    "unknown option, with what was meant": (
        "source: {type: shop, paths: [x], dept: 2}\n" + BOX,
        (
            "unknown_option|demo.yaml:1:34|source shop has no option `dept`|did you mean `depth`? the "
            "options are: depth, order, paths, ratio, region, strict, token, type"
        ),
    ),
    "unknown option of a sink, where the engine's keys are known": (
        SHOP + "sinks: [{type: box, path: out/, wehre: a}]\n",
        (
            "unknown_option|demo.yaml:2:33|sink box has no option `wehre`|did you mean `where`? the "
            "options are: columns, format, id, path, type, where"
        ),
    ),
    "unknown section": (
        GOOD + "enricher: []\n",
        (
            "unknown_option|demo.yaml:3:1|there is no section `enricher`|did you mean `enrichers`? the "
            "sections are: version, name, include, source, decoder, enrichers, sinks, rejects, "
            "expect, violations, state, limits, engine, tests, profiles, default_profile; `x-...` is free for your own use"
        ),
    ),
    "missing option": (
        SHOP + "sinks:\n  - type: box\n",
        "missing_option|demo.yaml:3:5|sink box needs the option `path`|path: Where to put it.",
    ),
    "missing section": (
        SHOP,
        (
            "missing_option|demo.yaml:1:1|the pipeline needs `sinks`|Where the rows go: each sink gets "
            "all of them, unless it has a `where`."
        ),
    ),
    "no sink": (
        SHOP + "sinks: []\n",
        "missing_option|demo.yaml:2:8|`sinks` needs at least one sink|",
    ),
    "wrong type": (
        "source: {type: shop, paths: [x], depth: deep}\n" + BOX,
        "wrong_value|demo.yaml:1:41|`depth` of source shop must be a whole number, not 'deep'|",
    ),
    "a list with one thing of the wrong type": (
        "source: {type: shop, paths: [x, [y]]}\n" + BOX,
        "wrong_value|demo.yaml:1:33|`paths[1]` of source shop must be text, not a list|",
    ),
    "text instead of a list": (
        "source: {type: shop, paths: x}\n" + BOX,
        (
            "wrong_value|demo.yaml:1:29|`paths` of source shop must be a list, not 'x'|write a list, "
            "even of one: [...]"
        ),
    ),
    "a number where text belongs": (
        SHOP + "sinks: [{type: box, path: 7}]\n",
        (
            "wrong_value|demo.yaml:2:27|`path` of sink box must be text, not 7|put it in quotes to make "
            "it text"
        ),
    ),
    "out of range": (
        "source: {type: shop, paths: [x], depth: 10}\n" + BOX,
        "wrong_value|demo.yaml:1:41|`depth` of source shop must be at most 9, not 10|",
    ),
    "not one of the choices": (
        "source: {type: shop, paths: [x], order: nmae}\n" + BOX,
        (
            "wrong_value|demo.yaml:1:41|`order` of source shop must be name or time, not 'nmae'|did you "
            "mean name?"
        ),
    ),
    "a component's own check": (
        "source: {type: shop, paths: [x], region: nowhere}\n" + BOX,
        "bad_value|demo.yaml:1:42|`region` of source shop: there is no region nowhere|",
    ),
    "unknown component": (
        "source: {type: shopp}\n" + BOX,
        (
            "unknown_component|demo.yaml:1:16|unknown source shopp|did you mean shop? installed "
            "sources: shop"
        ),
    ),
    "unknown nested component": (
        SHOP + "sinks: [{type: box, path: x, format: {type: pakc}}]\n",
        (
            "unknown_component|demo.yaml:2:45|unknown format pakc|did you mean pack? installed "
            "formats: jsonl, pack"
        ),
    ),
    "a component without a type": (
        "source: {paths: [x]}\n" + BOX,
        (
            "missing_type|demo.yaml:1:1|this source has no `type`|for example {type: shop}; installed "
            "sources: shop"
        ),
    ),
    "a component that is not a mapping": (
        SHOP + "sinks: [{type: box, path: x, format: pack}]\n",
        (
            "wrong_type|demo.yaml:2:38|a format must be a mapping with `type`, not 'pack'|write {type: "
            "pack}"
        ),
    ),
    "one sink instead of a list": (
        SHOP + "sinks: {type: box, path: x}\n",
        "wrong_type|demo.yaml:2:9|`sinks` must be a list, not a mapping|begin each item with `- `",
    ),
    "an id twice": (
        SHOP + "sinks: [{id: a, type: box, path: x}, {id: a, type: box, path: x}]\n",
        (
            "duplicate_id|demo.yaml:2:43|the `id` 'a' is used twice|ids are unique; "
            "`rejects` and `violations`, also with the number of a rule, are reserved"
        ),
    ),
    "a bad name": (
        GOOD + "name: a/b\n",
        (
            "bad_name|demo.yaml:3:7|`name` must consist of letters, digits, `_`, `.` and `-`, at most "
            "100, starting with a letter or digit, not 'a/b'|"
        ),
    ),
    "a later version of the format": (
        GOOD + "version: 2\n",
        "config_version|demo.yaml:3:10|`version` must be 1, not 2|a later ktrans may support it",
    ),
    "an engine setting": (
        GOOD + "engine: {workers: 0}\n",
        "wrong_value|demo.yaml:3:19|`workers` of section engine must be at least 1, not 0|",
    ),
    "a limit of the rejects": (
        GOOD + "rejects: {type: file, path: r/, limit: {ratoi: 1}}\n",
        (
            "unknown_option|demo.yaml:3:41|section rejects.limit has no option `ratoi`|did you mean "
            "`ratio`? the options are: count, min_records, ratio"
        ),
    ),
    "a key twice": (
        GOOD + "name: a\nname: b\n",
        "duplicate_key|demo.yaml:4:1|`name` is here twice, first on line 3|",
    ),
    "a tab": (
        "source:\n\ttype: shop\n",
        (
            "yaml|demo.yaml:2:1|not YAML: found character '\\t' that cannot start any token (while "
            "scanning for the next token)|YAML is indented with spaces, never with tabs"
        ),
    ),
    "an open bracket": (
        "source: {type: shop, paths: [x}\n",
        (
            "yaml|demo.yaml:1:31|not YAML: expected ',' or ']', but got '}' (in a list that began "
            "with [)|a comma is missing, or a bracket is not closed"
        ),
    ),
    "a path with braces between braces": (
        SHOP + "sinks: [{type: box, path: out/{action}/}]\n",
        (
            "yaml|demo.yaml:2:31|not YAML: expected ',' or '}', but got '{' (in a mapping that began "
            'with {)|within { } and [ ] put text that holds { or [ in quotes: "out/{action}/"'
        ),
    ),
    "a path that begins with a brace": (
        SHOP + "sinks:\n- type: box\n  path: {action}/x\n",
        (
            "yaml|demo.yaml:4:17|not YAML: expected a new line with the next key, but found text (in "
            'a mapping)|put text that begins with { or [ in quotes: "{action}/"'
        ),
    ),
    "a path that is all braces": (
        SHOP + "sinks:\n- type: box\n  path: {action}\n",
        (
            "wrong_value|demo.yaml:4:9|`path` of sink box must be text, not a mapping|put text that "
            "begins with { in quotes"
        ),
    ),
    "a glob without quotes": (
        "source: {type: shop, paths: [*.log]}\n" + BOX,
        (
            "yaml|demo.yaml:1:30|not YAML: found undefined alias '.log'|put text that begins with * "
            'in quotes: "*.log"'
        ),
    ),
    "text behind a closing quote": (
        SHOP + "sinks:\n- type: box\n  path: 'a' or 'b'\n",
        (
            "yaml|demo.yaml:4:13|not YAML: expected a new line with the next key, but found text (in "
            "a mapping)|there is text behind a closing quote: put all of it in quotes"
        ),
    ),
    "a reference without quotes between braces": (
        "source: {type: shop, paths: [x], region: ${env:R}}\n" + BOX,
        (
            "yaml|demo.yaml:1:43|not YAML: expected ',' or '}', but got '{' (in a mapping that began "
            'with {)|between { and } put references in quotes: "${env:NAME}"'
        ),
    ),
    "a tag": (SHOP + "sinks: !!python/name:os.system x\n", None),
    "a variable without its scheme": (
        SHOP + "sinks: [{type: box, path: '${HOME}/x'}]\n",
        (
            "bad_reference|demo.yaml:2:27|`${HOME}` has no scheme|write "
            "`${env:HOME}` for an environment variable, or `$${` for the text itself"
        ),
    ),
    "a variable that is not set": (
        SHOP + "sinks: [{type: box, path: '${env:NOT_THERE}/x'}]\n",
        (
            "missing_env|demo.yaml:2:27|the environment variable NOT_THERE is not set|set it, or give "
            "a default: `${env:NOT_THERE:-default}`"
        ),
    ),
    "a file that is not there": (
        SHOP + "sinks: [{type: box, path: '${file:/not/there}'}]\n",
        "missing_file|demo.yaml:2:27|the file /not/there cannot be read: No such file or directory|",
    ),
    "a scheme that nobody knows": (
        SHOP + "sinks: [{type: box, path: '${envy:X}'}]\n",
        (
            "unknown_scheme|demo.yaml:2:27|no plugin resolves `${envy:...}`|`env` and `file` "
            "are built in; plugins add others"
        ),
    ),
    "a vault that fails": (
        SHOP + "sinks: [{type: box, path: '${broken:x}'}]\n",
        (
            "secret_failed|demo.yaml:2:27|the plugin parts failed on ${broken:...}: RuntimeError: the "
            "vault is shut|"
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_is_told_with_place_and_remedy(wrong, text, expected):
    error = wrong(text)
    if expected is not None:
        assert shown(error) == expected
    assert error.exit_code == 78


def test_the_snippet_points_at_the_mistake(wrong):
    error = wrong("source:\n  type: shop\n  paths: [x]\n  depth: deep\n" + BOX)
    assert error.where.snippet == "4 |   depth: deep\n  |          ^^^^"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(write, catalogue):
    text = """\
name: demo
source: {type: shop, paths: ["${env:A}", "${env:B}"], depth: x}
sinks:
  - {type: box, path: "${env:C}", sizzle: 3}
"""
    with pytest.raises(ConfigErrors) as caught:
        load_pipeline(write(text), catalogue, environ={})
    errors = caught.value.errors
    assert [error.code for error in errors] == [
        "missing_env",
        "missing_env",
        "wrong_value",
        "missing_env",
        "unknown_option",
    ]
    assert [error.where.line for error in errors] == [2, 2, 2, 4, 4]
    assert "A is not set" in errors[0].message
    assert "B is not set" in errors[1].message


SECRET = "hunter2-hunter2"
LEAKS = [
    "source: {type: shop, paths: [x], token: [SECRET]}\n" + BOX,
    "source: {type: shop, paths: [x], tokn: SECRET}\n" + BOX,
    "source: {type: shop, paths: [x], token: SECRET, depth: deep}\n" + BOX,
    "source: {type: shop, paths: [x], token: 'SECRET', region: nowhere}\n" + BOX,
    "source: {type: shop, paths: [x], password: SECRET}\n" + BOX,
    "source: {type: shop, paths: [x], depth: '${env:S}'}\n" + BOX,
    "source: {type: shop, paths: [x], order: '${file:secret.txt}'}\n" + BOX,
    "source: {type: shop, paths: [x], region: 'bad${env:S}'}\n" + BOX,
    "source: {type: shop, paths: [x], region: 'bad${vault:SECRET}'}\n" + BOX,
    "source: {type: '${env:S}', paths: [x]}\n" + BOX,
    "source: '${env:S}'\n" + BOX,
    GOOD + "name: '${env:S}/'\n",
    GOOD + "version: '${env:S}'\n",
    GOOD + "enrichers: '${env:S}'\n",
    GOOD + "engine: '${env:S}'\n",
    SHOP + "sinks: [{type: box, path: 'http://me:SECRET@host/', nope: 3}]\n",
    SHOP + "sinks: [{type: box, path: x, where: ['${env:S}']}]\n",
    SHOP + "sinks: [{type: box, path: x, id: '${env:S}/'}]\n",
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_message_shows_a_secret_or_what_was_filled_in(write, catalogue, text):
    path = write(text.replace("SECRET", SECRET))
    (path.parent / "secret.txt").write_text(SECRET)
    with pytest.raises(ConfigError) as caught:
        load_pipeline(path, catalogue, environ={"S": SECRET})
    for error in getattr(caught.value, "errors", [caught.value]):
        told = f"{error} {error.hint} {error.where} {error.where.snippet}"
        assert SECRET not in told.replace("${vault:" + SECRET + "}", "")
        assert error.where.line is not None


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", "empty_config", "empty"),
        (b"# only a comment\n", "empty_config", "empty"),
        (b"- a\n", "wrong_type", "a list instead of a pipeline"),
        (b"just text\n", "wrong_type", "'just text' instead of a pipeline"),
        (b"name: caf\xe9\n", "config_not_utf8", "byte 0xe9 on line 1"),
        (b"name: \x01\n", "yaml", "special characters"),
        (b"a: *nowhere\n", "yaml", "undefined alias"),
        (b"&a [*a]\n", "yaml_too_large", "refer to each other"),
    ],
)
def test_a_file_that_is_no_pipeline(tmp_path, catalogue, content, code, said):
    path = tmp_path / "demo.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        load_pipeline(path, catalogue)
    assert caught.value.code == code


def test_a_file_that_is_not_there_or_a_folder(tmp_path, catalogue):
    (tmp_path / "flows.yaml").write_text(GOOD)
    (tmp_path / "_shared.yaml").write_text("limits: {}\n")  # no pipeline
    (tmp_path / "flows.tests.yaml").write_text("tests: []\n")
    with pytest.raises(ConfigError, match="no such file") as caught:
        load_pipeline(tmp_path / "flows", catalogue)
    assert caught.value.hint == f"did you mean {tmp_path}/flows.yaml?"
    with pytest.raises(ConfigError, match="a folder") as caught:
        load_pipeline(tmp_path, catalogue)
    assert caught.value.hint == f"give a pipeline file, for example {tmp_path}/flows.yaml"


def test_a_file_with_a_byte_order_mark_is_read(tmp_path, catalogue):
    path = tmp_path / "demo.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_pipeline(path, catalogue).name == "demo"


@pytest.mark.parametrize(
    "text", ["a: {long}", "{long}: 1", "a: !{long} 1", "{long} b: c: d", "a: [{long}"]
)
def test_long_words_in_the_snippet_of_an_error_take_no_time(write, catalogue, text):
    began = time.monotonic()
    with pytest.raises((ConfigError, ConfigErrors)):
        load_pipeline(write(text.replace("{long}", "x" * 50_000)), catalogue)
    assert time.monotonic() - began < 10  # quadratic time would be minutes


@pytest.mark.parametrize("digits", ["1" * 10_000, "0x" + "f" * 10_000])
def test_a_number_of_very_many_digits_is_an_error_of_the_file(wrong, digits):
    error = wrong(f"source: {{type: shop, paths: [logs/], depth: {digits}}}\n" + BOX)
    assert error.code == "yaml_scalar"
    assert "at most 1000 digits" in error.message
