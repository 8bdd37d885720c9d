"""Base classes that leave a method or two to write: what most plugins are built on.

| to write | inherit | and give |
|---|---|---|
| a decoder of text lines | LineDecoder | `parse`: lines in, columns out |
| an enricher that adds columns | ColumnEnricher | `compute`: a batch in, columns out |
| a source that lists things | ListedSource | `items` and `fetch` |
| a sink for a database or an API | BufferedSink | `deliver`: send the rows of one task |
| a source of an object store | ObjectSource in `ktrans.kit.objects.source` | `make_store` |
| a sink of an object store | ObjectSink in `ktrans.kit.objects.sink` | `make_target` |

Whoever needs more than they offer implements the classes of `ktrans.api` themselves.
"""

from ktrans.kit.buffered_sink import BufferedSink, Delivery
from ktrans.kit.column_enricher import ColumnEnricher
from ktrans.kit.line_decoder import LineDecoder, Parsed
from ktrans.kit.listed_source import Item, ListedSource

__all__ = [
    "BufferedSink",
    "ColumnEnricher",
    "Delivery",
    "Item",
    "LineDecoder",
    "ListedSource",
    "Parsed",
]
