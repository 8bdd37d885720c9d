"""Text input: inflate streams and cut them into lines."""
