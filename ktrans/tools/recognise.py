"""Looks at some local files and says which decoder each is for."""

from __future__ import annotations

from pathlib import Path

from ktrans.api import Budget, Context, KtransError
from ktrans.registry.catalogue import Catalogue
from ktrans.tools.preview import NoMemory


def recognised(origin: str, base_dir: Path, catalogue: Catalogue, most: int) -> dict[str, str]:
    """Give the decoder of some files, or `unknown`.

    Args:
        origin: a file, folder or glob.
        base_dir: what it is relative to.
        catalogue: where the decoders come from.
        most: how many files to look at.

    Returns:
        By the file's URI.
    """
    context = Context(base_dir=base_dir, registry=catalogue, ephemeral=True)
    config = catalogue.config("source", {"type": "file", "paths": [origin], "tail_wait": 0})
    found: dict[str, str] = {}
    with catalogue.build("source", config, context) as source:
        plan = source.plan(None, NoMemory(), Budget(splits=most))
        for split in plan.splits if plan else ():
            auto = catalogue.build(
                "decoder", catalogue.config("decoder", {"type": "auto"}), context
            )
            auto.schema(None)
            try:
                with source.open(split) as payload:
                    next(iter(auto.blocks(payload)), None)
                told = next(iter(auto.choices().values()), "unknown")
            except (KtransError, OSError):
                told = "unknown"
            found[split.uri] = told.partition(":")[0]
    return found
