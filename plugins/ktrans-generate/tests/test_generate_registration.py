"""The contract of every plugin's registration module."""

from ktrans.testing.contracts import PluginContract


class TestPlugin(PluginContract):
    module = "ktrans_generate"
