"""The command line: one module a verb, each imported only when it is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the `ktrans` command and leave with its exit code."""
    # numpy's linear algebra would start threads that wait by spinning; nothing here uses it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from ktrans.cli.failures import guarded
    from ktrans.cli.root import cli

    sys.exit(guarded(cli, list(sys.argv[1:] if arguments is None else arguments)))
