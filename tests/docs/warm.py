"""Runs commands of ktrans, each in a process of its own that has the imports behind it already.

Orders come as lines of JSON on standard input; the exit code of each goes back as a line. The pages
hold some hundred commands, and half of the time of each would go into the same imports.
"""

import importlib
import json
import os
import sys

from ktrans.cli import main

NEARLY_ALWAYS = (
    "pyarrow.compute",
    "pyarrow.parquet",
    "ktrans.cli.run",
    "ktrans.cli.validate",
    "ktrans.engine.assemble",
    "ktrans.engine.run",
)


def obey(order: dict) -> None:
    """Become the process of a command: its folder, its files, its end."""
    os.chdir(order["folder"])
    for number, path in enumerate((os.devnull, order["out"], order["err"])):
        os.dup2(os.open(path, os.O_RDWR), number)
    main(order["args"])


for module in NEARLY_ALWAYS:
    importlib.import_module(module)

for line in sys.stdin:
    child = os.fork()
    if not child:
        obey(json.loads(line))
        raise SystemExit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
