"""The class of the path between both ends of a flow, and its price.

The rules are those of the `zones` enricher's docstring.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ktrans.enrichers.hashes.combinations import combined, first_rows
from ktrans.enrichers.paths.places import Coded, Ends
from ktrans.enrichers.paths.prices import Prices
from ktrans.kit.columns import MISSING, plain_integers
from ktrans.kit.flow_rules import PATH_CLASSES, SIDES

_CODE = {name: code for code, name in enumerate(PATH_CLASSES)}
_OPPOSITE = {"internet_in": "internet_out", "internet_out": "internet_in"}
_WAY_BACK = np.array([_CODE[_OPPOSITE.get(name, name)] for name in PATH_CLASSES])


def path_classes(ends: Ends) -> Coded:
    """Return the class of each row's path."""

    def both(what: str) -> tuple[np.ndarray, np.ndarray]:
        """Return where both sides are known, and where also different."""
        src, dst = (ends.places[side, what].codes for side in SIDES)
        known = (src >= 0) & (dst >= 0)
        return known, known & (src != dst)

    regions, other_region = both("region")
    zones, other_zone = both("zone")
    out = np.full(len(regions), _CODE["internal_unknown"], np.int32)
    # From the weakest to the strongest: the later overrides.
    out[regions] = _CODE["same_region"]
    out[other_zone & regions] = _CODE["inter_zone"]
    out[zones & ~other_zone] = _CODE["same_zone"]
    out[other_region] = _CODE["inter_region"]
    out[both("cloud")[1]] = _CODE["inter_cloud"]
    src, dst = ends.outside
    out[src & dst] = _CODE["internet"]
    out[src & ~dst] = _CODE["internet_in"]
    out[dst & ~src] = _CODE["internet_out"]
    out[~(ends.address[0] & ends.address[1])] = MISSING
    return Coded(out, pa.array(PATH_CLASSES, pa.string()))


def cost(batch: pa.RecordBatch, ends: Ends, classes: Coded, prices: Prices) -> pa.Array:
    """Estimate what each row costs: bytes there, and back if the row has both.

    Returns:
        float64; null where a row has no bytes, or has some that no price is known for.
    """
    regions = [ends.places[side, "region"] for side in SIDES]
    start, end = (region.codes for region in regions)
    texts = [*regions[0].texts.to_pylist(), None]  # -1 finds None
    size = len(texts)
    groups = combined(
        [(classes.codes + 1, len(PATH_CLASSES) + 1), (start + 1, size), (end + 1, size)]
    )
    rows = first_rows(groups)
    total = np.zeros(batch.num_rows)
    counted = np.zeros(batch.num_rows, bool)
    unpriced = np.zeros(batch.num_rows, bool)
    kinds = classes.codes[rows]
    for name, kind, a, b in (
        ("bytes", kinds, start[rows], end[rows]),
        ("bytes_rev", np.where(kinds < 0, MISSING, _WAY_BACK[kinds]), end[rows], start[rows]),
    ):
        each = [
            None if k < 0 else prices.of(PATH_CLASSES[k], texts[i], texts[j])
            for k, i, j in zip(kind.tolist(), a.tolist(), b.tolist(), strict=True)
        ]
        price = np.array(each, np.float64)[groups]  # None becomes nan
        count, gone = plain_integers(batch.column(name))
        counted |= ~gone
        unpriced |= ~gone & np.isnan(price)
        total += np.where(gone | np.isnan(price), 0.0, count / 1e9 * price)
    return pa.array(total, mask=~counted | unpriced)
