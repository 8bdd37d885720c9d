"""What the plugin owes the host before it is used."""

from ktrans.testing.contracts import PluginContract


class TestPlugin(PluginContract):
    module = "ktrans_rabbitmq"
