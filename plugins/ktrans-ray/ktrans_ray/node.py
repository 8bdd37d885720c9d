"""What a worker process of the cluster runs. It gets and returns text, so nothing is pickled by value."""

from __future__ import annotations

import importlib
import json


def run_ktrans_task(work: str, job: str) -> str:
    """Do a job by the function that `work` names (`MODULE:FUNCTION`); return the answer as JSON."""
    module, _, name = work.partition(":")
    function = getattr(importlib.import_module(module), name)
    return json.dumps(function(json.loads(job)))
