"""Base classes that leave a method or two to write: what most plugins are built on.

| to write | inherit | and give |
|---|---|---|
| a decoder of text lines | LineDecoder | `parse`: lines in, columns out |
| an enricher that adds columns | ColumnEnricher | `compute`: a batch in, columns out |
| a source that lists things | ListedSource | `items` and `fetch` |
| a sink for a database or an API | BufferedSink | `deliver`: send the rows of one task |
| a source of an object store | ObjectSource in `ktrans.objects.source` | `make_store` |
| a sink of an object store | ObjectSink in `ktrans.objects.sink` | `make_target` |

Whoever needs more than they offer implements the classes of `ktrans.api` themselves.
"""

from ktrans.plugin.buffered import BufferedSink, Delivery
from ktrans.plugin.columns import ColumnEnricher
from ktrans.plugin.lines import LineDecoder, Parsed
from ktrans.plugin.listed import Item, ListedSource

__all__ = [
    "BufferedSink",
    "ColumnEnricher",
    "Delivery",
    "Item",
    "LineDecoder",
    "ListedSource",
    "Parsed",
]
