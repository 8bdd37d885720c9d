"""Path templates: what they say, what they refuse, and values that stay below their folder."""

import pytest

from ktrans.kit.files.path_template import NULL_PARTITION, Slot, parse, safe_value, slug


def test_a_template_is_a_fixed_folder_then_folders_and_a_name_with_slots():
    found = parse("out/flows/date={start_time:%Y-%m-%d}/{account_id}/f-{task}-{part}.parquet")
    assert found.root == "out/flows/"
    assert found.folders == ("date=", Slot("start_time", "%Y-%m-%d"), "/", Slot("account_id"), "/")
    assert found.name == ("f-", Slot("task"), "-", Slot("part"), ".parquet")
    assert found.columns() == ("start_time", "account_id")


def test_a_path_that_ends_with_a_slash_leaves_names_to_the_sink():
    assert parse("out/").name == ()
    assert parse("out/{{plain}}/").root == "out/{plain}/"


@pytest.mark.parametrize(
    ("form", "seconds"), [("%Y", 86_400), ("%Y-%m-%dT%H", 3_600), ("%H%M", 60), ("%S", 1)]
)
def test_a_time_is_cut_as_finely_as_its_format_says(form, seconds):
    (slot,) = parse(f"out/{{start_time:{form}}}/").slots
    assert slot.span_secs == seconds


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("{account_id}/", "fixed name"),
        ("flows.parquet", "fixed name"),
        ("/", "fixed name"),
        ("out/{a}/../{b}/", "begin with ."),
        ("out/{a}//{b}/", "empty"),
        ("out/.{a}/", "begin with ."),
        ("out/.ktrans-staging/{a}/", "unfinished files"),
        ("out/{task}/", "after the last slash"),
        ("out/flows.parquet", "needs {task}"),
        ("out/{a", "braces"),
        ("out/{}/", "a slot is"),
        ("out/{a!r}/", "a slot is"),
        ("out/a\\b/", "no backslash"),
        ("out/{a:plain}/", "no directive"),
        ("out/{a:%c}/", "not among"),
        ("out/{a:%Y/.%m}/", "begin with ."),
        ("out/{task:%Y}", "takes no format"),
    ],
)
def test_a_path_that_could_leave_its_folder_or_means_nothing_is_refused(path, why):
    with pytest.raises(ValueError, match=why):
        parse(path)


@pytest.mark.parametrize("value", ["", None])
def test_no_value_is_the_null_partition(value):
    assert safe_value(value) == NULL_PARTITION


@pytest.mark.parametrize(
    "value", ["..", ".", "a/b", "../../etc", "a\\b", "a\nb", "a=b", "100%", "ä"]
)
def test_a_value_is_one_name_whatever_it_holds(value):
    safe = safe_value(value)
    assert "/" not in safe
    assert "\\" not in safe
    assert not safe.startswith(".")
    assert safe.isprintable()


def test_different_values_stay_different():
    values = ["a/b", "a%2Fb", "x" * 500, "x" * 501, ".a", "%2Ea"]
    assert len({safe_value(value) for value in values}) == len(values)
    assert max(len(safe_value(value).encode()) for value in values) <= 120


def test_names_of_pipelines_that_only_look_alike_after_escaping_stay_different():
    assert slug("flows_1-a") == "flows_1-a"
    assert len({slug("a b"), slug("a/b"), slug("a-b"), slug("a" * 99), slug("a" * 98)}) == 5
