"""The built-in components come in by the road of all plugins, and are held to the same contracts."""

from ktrans.testing.contracts import PluginContract


class TestBuiltIns(PluginContract):
    module = "ktrans.registry.builtin"
