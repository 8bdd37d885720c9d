"""The accelerator in use, and what becomes of one that fails."""

import logging

import pytest

from ktrans.decoders.read.json_native import NativeParser
from ktrans.decoders.read.raw_columns import Shape
from ktrans.kit.accelerate import accelerate, accelerated, accelerator, guarded
from tests.accelerators import OfAnotherVersion


class Panic(BaseException):
    """Not an Exception, as a panic of Rust is not."""


def test_the_one_in_use_is_that_which_was_set_last():
    one, other = object(), object()
    with accelerated(one):
        assert accelerator() is one
        with accelerated(None):
            assert accelerator() is None
            accelerate(other)
            assert accelerator() is other
        assert accelerator() is one


@pytest.mark.parametrize("error", [Panic("index 7"), ValueError("index 7"), MemoryError("index 7")])
def test_a_reader_that_fails_leaves_the_block_to_python_and_is_logged_once(error, caplog, request):
    def read(block, lines):
        if block == b"bad":
            raise error
        return lines

    guard = guarded(read, f"acme of {request.node.name}", Panic)
    with caplog.at_level(logging.ERROR):
        assert [guard(b"good", 3), guard(b"bad", 1), guard(b"bad", 1)] == [3, None, None]
    (record,) = caplog.records
    assert record.event == "native_failed"
    assert "index 7" in record.getMessage()


def test_an_interruption_is_not_kept_from_anyone():
    def read(block, lines):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guarded(read, "acme", Panic)(b"", 0)


def test_one_for_another_version_leaves_all_to_python(caplog, request):
    native = OfAnotherVersion(f"acme of {request.node.name}")
    with accelerated(native), caplog.at_level(logging.ERROR):
        assert NativeParser(Shape(frozenset())).read(b"{}\n", 1) is None
        assert NativeParser(Shape(frozenset())).read(b"{}\n", 1) is None
    (record,) = caplog.records
    assert record.event == "native_failed"
