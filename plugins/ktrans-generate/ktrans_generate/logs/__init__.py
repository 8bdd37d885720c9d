"""The logs that can be generated: a module a cloud or family of tools."""
