"""What the engine expects of each kind of component, as test classes to inherit.

A plugin's tests subclass the contract of its kind and say how to build the component:

    from ktrans.testing.contracts import SinkCase, SinkContract

    class TestMySink(SinkContract):
        @pytest.fixture
        def case(self, tmp_path):
            return MyCase(tmp_path)

They need pytest, and nothing else beyond ktrans.
"""

from ktrans.testing.contracts.decoders import DecoderContract
from ktrans.testing.contracts.enrichers import EnricherContract
from ktrans.testing.contracts.formats import FormatContract
from ktrans.testing.contracts.sinks import SinkCase, SinkContract
from ktrans.testing.contracts.sources import SourceCase, SourceContract

__all__ = [
    "DecoderContract",
    "EnricherContract",
    "FormatContract",
    "SinkCase",
    "SinkContract",
    "SourceCase",
    "SourceContract",
]
