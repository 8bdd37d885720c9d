"""The command line: one module for each verb, imported only when the verb is used."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the `ktrans` command and exit with its code."""
    # Keep numpy from starting threads for linear algebra, which is not used here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Garbage collection during imports takes a fifth of the start-up time. A run enables it again
    # once it is set up; the other verbs are short.
    gc.disable()
    from ktrans.cli.postponed import POSTPONED, postpone

    postpone(POSTPONED)
    from ktrans.cli.failures import guarded
    from ktrans.cli.root import cli

    code = guarded(cli, list(sys.argv[1:] if arguments is None else arguments))
    gc.freeze()  # or the interpreter would look for garbage in everything before it exits
    sys.exit(code)
