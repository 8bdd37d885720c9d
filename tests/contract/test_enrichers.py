"""What every built-in enricher promises, checked on each of them."""

from __future__ import annotations

import importlib

import pytest

from ktrans.registry.builtin import ENRICHERS
from ktrans.testing.contracts import EnricherContract

CONFIGS = {
    "filter": {"where": "action = 'accept' and dst_port in (443, 53)"},
    "derive": {"columns": {"bits": "bytes * 8", "note": "upper(action) || '!'"}},
    "select": {"drop": ["attrs"], "rename": {"src_addr": "source_ip"}},
    "cidr": {"table": "networks.csv"},
    "threat_list": {"lists": [{"name": "drop", "file": "drop.txt"}]},
    "services": {},
    "labels": {},
    "hash_addresses": {"salt": "0123456789abcdef"},
    "python": {"function": "ktrans.testing.fakes:as_it_is"},
    "sample": {"one_in": 2},
    "dedupe": {},
    "rollup": {"window": "5m", "group_by": ["src_addr", "dst_port", "action"]},
    "one_report": {},
    "stitch": {},
    "community_id": {},
    "zones": {"table": "networks.csv", "prices": "prices.csv"},
    "to_ocsf": {"keep": ["bytes", "packets", "source_pos"]},
    "to_ecs": {"keep": ["bytes", "packets", "source_pos"]},
    "to_otel": {"keep": ["bytes", "packets", "source_pos"]},
    "to_kentik": {"keep": ["bytes", "packets", "source_pos"]},
}

NETWORKS = "prefix,name,site,region\n10.0.0.0/8,corp,hq,eu-1\n::/0,v6,,\n"


def load(reference):
    module, name = reference.split(":")
    return getattr(importlib.import_module(module), name)


class TestBuiltInEnrichers(EnricherContract):
    covers = tuple(spec.type for spec in ENRICHERS)

    @pytest.fixture(autouse=True, params=ENRICHERS, ids=lambda spec: spec.type)
    def chosen(self, request):
        self.spec = request.param

    def make(self, context):
        (context.base_dir / "networks.csv").write_text(NETWORKS)
        (context.base_dir / "drop.txt").write_text(
            "10.0.0.0/28 ; SBL1\n2001:db8::1\n93.184.1.0/24\n"
        )
        (context.base_dir / "prices.csv").write_text("path_class,price_per_gb\ninternet_out,0.09\n")
        config = load(self.spec.config)(type=self.spec.type, **CONFIGS[self.spec.type])
        return load(self.spec.build)(config, context)

    def test_options_are_strict(self, enricher):
        model = type(enricher.config)
        assert model.model_fields["type"].default == self.spec.type
        with pytest.raises(ValueError, match="nonsense"):
            model(type=self.spec.type, **CONFIGS[self.spec.type], nonsense=1)

    def test_examples_of_options_are_valid(self, enricher):
        model = type(enricher.config)
        for name, field in model.model_fields.items():
            for example in field.examples:
                options = {**CONFIGS[self.spec.type], name: example}
                if self.spec.type == "select":
                    options = {name: example}
                    if name == "type":
                        continue
                made = model(**{"type": self.spec.type, **options})
                assert getattr(made, name) is not None
