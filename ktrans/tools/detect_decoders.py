"""Detects which decoder local files are for."""

from __future__ import annotations

from pathlib import Path

from ktrans.api import Budget, Context, KtransError
from ktrans.registry.catalogue import Catalogue
from ktrans.tools.preview import NoMemory


def detect_decoders(
    origin: str, base_dir: Path, catalogue: Catalogue, limit: int
) -> dict[str, str]:
    """Return the decoder of some files, or `unknown`, by URI.

    `origin` is a file, folder or glob, relative to `base_dir`; at most `limit` files are looked
    at.
    """
    context = Context(base_dir=base_dir, registry=catalogue, ephemeral=True)
    config = catalogue.config("source", {"type": "file", "paths": [origin], "tail_wait": 0})
    found: dict[str, str] = {}
    with catalogue.build("source", config, context) as source:
        plan = source.plan(None, NoMemory(), Budget(splits=limit))
        for split in plan.splits if plan else ():
            auto = catalogue.build(
                "decoder", catalogue.config("decoder", {"type": "auto"}), context
            )
            auto.schema(None)
            try:
                with source.open(split) as payload:
                    next(iter(auto.blocks(payload)), None)
                choice = next(iter(auto.choices().values()), "unknown")
            except (KtransError, OSError):
                choice = "unknown"
            found[split.uri] = choice.partition(":")[0]
    return found
