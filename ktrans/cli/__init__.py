"""The command line: one module a verb, each imported only when it is asked for."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the `ktrans` command and leave with its exit code."""
    # numpy's linear algebra would start threads that wait by spinning; nothing here uses it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What imports make stays: looking through it for garbage takes a fifth of the start. A run
    # turns collection on again once it is set up; the other verbs are over soon.
    gc.disable()
    from ktrans.cli.failures import guarded
    from ktrans.cli.root import cli

    sys.exit(guarded(cli, list(sys.argv[1:] if arguments is None else arguments)))
