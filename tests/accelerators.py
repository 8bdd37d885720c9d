"""Accelerators that are not as they should be."""

from ktrans.api import Accelerator


class OfAnotherVersion(Accelerator):
    """Takes shapes that have other attributes."""

    def __init__(self, name):
        self.name = name

    def lines(self, shape):
        return shape.fields

    def json(self, shape):
        return shape.members

    def join(self, parts, rows):
        return None
