"""Sizes and durations with units, in options."""

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from ktrans.api import ComponentConfig
from ktrans.kit.units import (
    Duration,
    Size,
    WholeSeconds,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


class Config(ComponentConfig):
    type: str = "acme"
    room: Size = Field(4 << 20, ge=1024)
    wait: Duration = Field(30, gt=0)
    whole: WholeSeconds = Field(5)


@pytest.mark.parametrize(
    ("text", "size"),
    [("128 MB", 128_000_000), ("4MiB", 4 << 20), ("1.5 KiB", 1536), ("9.9 MB", 9_900_000),
     ("2 tb", 2 * 10**12), ("512", 512), (" 7 B ", 7)],
)  # fmt: skip
def test_a_size_is_a_number_and_a_unit(text, size):
    assert parse_size(text) == size
    assert Config(room=f"{text} ").room == size if size >= 1024 else True


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1 h 30 m", 5400), ("250ms", 0.25), ("2d", 172_800),
     ("1.5h", 5400), ("12", 12), ("0.5", 0.5)],
)  # fmt: skip
def test_a_duration_is_one_or_more_numbers_with_units(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "MB", "-1 MB", "1 mm", "1 XB", "1.5 B", "1e6", "12 34"])
def test_other_texts_are_no_sizes(text):
    with pytest.raises(ValueError, match="not a"):
        parse_size(text)


@pytest.mark.parametrize("text", ["", "m", "-5s", "5 weeks", "1m 30", "5M"])
def test_other_texts_are_no_durations(text):
    with pytest.raises(ValueError, match="not a"):
        parse_duration(text)


def test_bare_numbers_are_bytes_and_seconds():
    config = Config(room=2048, wait=0.5, whole=7)
    assert (config.room, config.wait, config.whole) == (2048, 0.5, 7)


@pytest.mark.parametrize(
    "options",
    [
        {"room": "1 B"},
        {"room": True},
        {"room": []},
        {"room": 1.5},
        {"wait": "0s"},
        {"whole": "1.5s"},
    ],
)
def test_limits_and_types_hold(options):
    with pytest.raises(ValidationError):
        Config(**options)


@given(st.integers(0, 1 << 60))
def test_a_size_that_is_shown_means_the_same_when_read(size):
    assert parse_size(format_size(size)) == size


@given(st.floats(0, 1e9))
def test_a_duration_that_is_shown_means_the_same_when_read(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


def test_what_is_shown_is_short():
    assert [format_size(n) for n in (0, 1000, 4 << 20, 9_900_000)] == [
        "0 B",
        "1 kB",
        "4 MiB",
        "9.9 MB",
    ]
    assert [format_duration(n) for n in (0.05, 25.0, 90, 600)] == ["50ms", "25s", "90s", "10m"]


def test_the_schema_takes_both_forms():
    schema = Config.model_json_schema()
    jsonschema.validate({"room": "128 MB", "wait": "1h30m", "whole": 3}, schema)
    for wrong in ({"room": "much"}, {"room": 5}, {"wait": "10 parsecs"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)
