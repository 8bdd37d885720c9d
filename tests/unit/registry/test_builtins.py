"""What every registered component owes its users."""

from __future__ import annotations

import pytest

from ktrans.api import ComponentConfig
from ktrans.api.spec import KINDS
from ktrans.registry.catalogue import Catalogue

SPECS = [spec for kind in KINDS for spec in Catalogue().specs(kind)]


@pytest.fixture(params=SPECS, ids=lambda spec: f"{spec.kind}-{spec.type}")
def spec(request):
    return request.param


def test_names_in_a_spec_can_be_imported(spec):
    found = Catalogue()
    model = found.model(spec.kind, spec.type)
    assert issubclass(model, ComponentConfig)
    assert callable(found.load(spec.build))
    if spec.sniff:
        assert callable(found.load(spec.sniff))


def test_every_option_has_a_description_and_an_example(spec):
    model = Catalogue().model(spec.kind, spec.type)
    for name, info in model.model_fields.items():
        if name == "type":
            continue
        assert info.description, f"{name} has no description"
        assert info.examples, f"{name} has no example"


def test_the_model_knows_its_own_type(spec):
    field = Catalogue().model(spec.kind, spec.type).model_fields["type"]
    assert field.default == spec.type


def test_a_sink_says_what_it_guarantees(spec):
    if spec.kind == "sink":
        assert spec.delivery in {"exactly_once", "at_least_once"}
