"""The aws_metadata enricher under the contract of all enrichers."""

import json

from ktrans.registry.catalogue import Catalogue
from ktrans.testing.contracts import EnricherContract

INTERFACES = [
    {"id": "eni-1", "addresses": ["10.0.0.1", "2001:db8::1"], "name": "web", "vpc_id": "vpc-a"},
    {"id": "eni-2", "addresses": ["93.184.1.7"], "name": "db", "tags": {"team": "shop"}},
]


class TestAwsMetadata(EnricherContract):
    covers = ("aws_metadata",)

    def make(self, context):
        path = context.base_dir / "interfaces.json"
        taken = "2026-11-05T12:00:00+00:00"
        path.write_text(json.dumps({"version": 1, "taken": taken, "interfaces": INTERFACES}))
        catalogue = Catalogue()
        raw = {"type": "aws_metadata", "snapshot": str(path), "tags": ["team"]}
        return catalogue.build("enricher", catalogue.config("enricher", raw), context)
