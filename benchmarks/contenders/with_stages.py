"""ktrans's own stages called by a short loop: what is left to the engine is the difference.

    python with_stages.py INPUT NETWORKS OUTPUT

One thread inflates and cuts, two decode, enrich and encode, the first writes in order. No epochs,
no state, no receipts, no ledger, and malformed lines are thrown away.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ktrans.api import Budget, Context, Encoded
from ktrans.decoders.logs.aws_vpc import LOG
from ktrans.enrichers.cidr import CidrEnricher, CidrEnricherConfig
from ktrans.enrichers.services import ServicesEnricher, ServicesEnricherConfig
from ktrans.formats.parquet import ParquetFormat, ParquetFormatConfig
from ktrans.sources.file import FileSource, FileSourceConfig

AHEAD = 8


class Nothing:
    """Remembers nothing."""

    def recall(self, keys: Sequence[str]) -> dict[str, Any]:
        """Give nothing."""
        del keys
        return {}


def main(pattern: str, networks: str, output: str) -> None:
    """Convert."""
    context = Context()
    source = FileSource(FileSourceConfig(paths=[pattern]), context)
    decoder = LOG.decoder(LOG.config(), context)
    enrichers = [
        CidrEnricher(CidrEnricherConfig(table=networks), context),
        ServicesEnricher(ServicesEnricherConfig(), context),
    ]
    form = ParquetFormat(ParquetFormatConfig(), context)
    schema = decoder.schema(None)
    for enricher in enrichers:
        schema = enricher.bind(schema)
    form.bind(schema)

    def work(block: Any) -> Encoded:
        batch = decoder.decode(block).batch
        for enricher in enrichers:
            batch = enricher.apply(batch)
        return form.encode(batch)

    pending: deque[Future[Encoded]] = deque()
    plan = source.plan(None, Nothing(), Budget(splits=1_000_000, bytes=1 << 50))
    with ThreadPoolExecutor(os.cpu_count()) as pool, Path(output).open("wb") as stream:
        writer = form.open(stream)
        for split in plan.splits:
            for block in decoder.blocks(source.open(split)):
                pending.append(pool.submit(work, block))
                if len(pending) > AHEAD:
                    writer.write(pending.popleft().result())
        while pending:
            writer.write(pending.popleft().result())
        writer.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
