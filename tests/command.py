"""The command `ktrans`, in a process of its own."""

import subprocess
import sys


def ktrans(*args):
    """Run `ktrans` with these arguments, and return what became of it, with its output as text."""
    return subprocess.run(
        [sys.executable, "-m", "ktrans", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
    )
