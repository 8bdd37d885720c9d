"""Offers the native readers and encoders. Imports the native module only when a pipeline is assembled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktrans.api import hookimpl

if TYPE_CHECKING:
    from ktrans.api import Accelerator


@hookimpl
def ktrans_accelerator() -> Accelerator:
    """Return the accelerator."""
    from ktrans_native.accelerator import NativeAccelerator

    return NativeAccelerator()
