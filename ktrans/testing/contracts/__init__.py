"""What the engine expects of each kind of component, as test classes to inherit.

A plugin's tests subclass the contract of its kind and build the component:

    from ktrans.testing.contracts import SinkCase, SinkContract

    class TestMySink(SinkContract):
        covers = ("acme",)

        @pytest.fixture
        def case(self, tmp_path):
            return MyCase(tmp_path)

`covers` names the types that the class tests. A subclass of `PluginContract` finds components of the
plugin without a contract, and imports that come too early.

They need pytest and ktrans only.
"""

from ktrans.testing.contracts.decoders import DecoderContract
from ktrans.testing.contracts.enrichers import EnricherContract
from ktrans.testing.contracts.executors import ExecutorContract
from ktrans.testing.contracts.formats import FormatContract
from ktrans.testing.contracts.notifications import NotificationCase, NotificationContract
from ktrans.testing.contracts.plugins import PluginContract
from ktrans.testing.contracts.sinks import SinkCase, SinkContract
from ktrans.testing.contracts.sources import SourceCase, SourceContract
from ktrans.testing.contracts.state import StateCase, StateContract, StateTakeoverContract
from ktrans.testing.contracts.state_bucket import BucketStateCase, StateBucketContract

__all__ = [
    "BucketStateCase",
    "DecoderContract",
    "EnricherContract",
    "ExecutorContract",
    "FormatContract",
    "NotificationCase",
    "NotificationContract",
    "PluginContract",
    "SinkCase",
    "SinkContract",
    "SourceCase",
    "SourceContract",
    "StateBucketContract",
    "StateCase",
    "StateContract",
    "StateTakeoverContract",
]
