"""How many examples property tests try: all of them, or a quarter in the quick tests of `make unit`."""

import os


def examples(count: int) -> int:
    """Return the number of examples to try, of which `count` are wanted in a full run."""
    return max(count // 4, 5) if os.environ.get("KTRANS_TESTS") == "quick" else count
