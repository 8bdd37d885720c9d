"""Frames: cut the bytes of an object into blocks that decode on their own."""
