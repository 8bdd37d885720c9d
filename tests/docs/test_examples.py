"""The tests in the pipelines of the pages pass: what a page says of its lines is what comes out."""

import importlib.util
from pathlib import Path

import pytest
from ruamel.yaml import YAML

_SPEC = importlib.util.spec_from_file_location("shared", Path(__file__).with_name("conftest.py"))
shared = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(shared)

EXAMPLES = [each for each in shared.blocks("yaml") if "\ntests:\n" in each.values[0]]


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_tests_of_a_pipeline_in_the_docs_pass(text, library, tmp_path):
    from ktrans.config.load import load_pipeline
    from ktrans.registry.catalogue import Catalogue
    from ktrans.tools.config_tests import run_config_tests

    cases = YAML(typ="safe").load(text)["tests"]
    path = library / f"{tmp_path.name}.yaml"
    path.write_text(text)
    catalogue = Catalogue()
    results = list(run_config_tests(load_pipeline(path, catalogue), catalogue))
    assert [(each.case.name, each.differences) for each in results] == [
        (case["name"], []) for case in cases
    ]
