"""The generate source under the contract of all sources."""

import pytest
from ktrans_generate.source import GenerateSource, GenerateSourceConfig

from ktrans.api import Context
from ktrans.testing.contracts import SourceCase, SourceContract


class GenerateCase(SourceCase):
    def __init__(self, folder):
        self.context = Context(pipeline="contract", base_dir=folder)

    def build(self):
        config = GenerateSourceConfig(rows=900, rows_per_object=200, bad_ratio=0.1)
        return GenerateSource(config, self.context)


class TestGenerate(SourceContract):
    covers = ("generate",)

    @pytest.fixture
    def case(self, tmp_path):
        return GenerateCase(tmp_path)
