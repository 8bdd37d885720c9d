"""Count how often one task crosses from room to room of the code, or how large the rooms are.

A room is a package right below `ktrans` ("engine"), a part of the toolbox ("kit/files") or a plugin
("plugins/ktrans-aws"). Modules are found by name at run time, so the figures of two commits compare,
on the same version of Python: comprehensions are functions of their own up to Python 3.11.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePath
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TASK = "Task.run"
"""The method of the engine that processes one task and returns its receipts."""
PUBLIC = ("ktrans.api", "ktrans.kit", "ktrans.plugin")
"""What plugins may import; `ktrans.plugin` is the name that `ktrans.kit` had before."""
DAY = "2026/05/04"
AWS = (
    f"aws-logs/AWSLogs/111122223333/vpcflowlogs/eu-central-1/{DAY}/"
    "111122223333_vpcflowlogs_eu-central-1_fl-04e7d25ab81f90c36_20260504T0815Z_450ebe5a.log.gz"
)
GOOGLE_CLOUD = f"cloud-logs/gcp/compute.googleapis.com/vpc_flows/{DAY}/08:00:00_08:59:59_S0.json"
OBJECTS = {"AWS": ("aws_vpc", AWS), "Google Cloud": ("gcp_vpc", GOOGLE_CLOUD)}
PIPELINE = """\
name: rooms
source: {{type: file, paths: ["{path}"]}}
decoder: {{type: {decoder}}}
sinks:
  - {{type: file, path: out/, format: {{type: parquet}}}}
rejects: {{type: file, path: rejects/}}
state: {{path: state.db}}
"""

Chain = tuple[CodeType, ...]
"""The functions of ktrans on the stack of a call, the called one first."""


def room_of(path: PurePath) -> str:
    """Return the room of a file whose path is relative to the folder of the project."""
    top, *inner = path.parts
    if top == "ktrans" and len(inner) > 1:
        parts = inner[:2] if inner[0] == "kit" else inner[:1]
        return "/".join(parts).removesuffix(".py")
    return f"plugins/{inner[0]}" if top == "plugins" else "ktrans"


# -- one task, traced -------------------------------------------------------------------------------


class Trace:
    """Record each call of a function of ktrans between the start and the end of a task.

    Threads that ran before the task, such as the one that waits for it, do not count. Calls through
    other libraries count as calls by the ktrans function below which they were made. Resuming a
    generator counts as a call.
    """

    def __init__(self) -> None:
        import ktrans
        from ktrans.api import Decoder

        tree = Path(ktrans.__file__).parents[1]
        self.calls: list[Chain] = []
        self.decoders: set[CodeType] = set()
        self._base = Decoder
        self._open = False
        self._thread = threading.local()

        @cache
        def room(filename: str) -> str | None:
            path = PurePath(filename)
            ours = path.is_relative_to(tree) and path.relative_to(tree).parts[0]
            return room_of(path.relative_to(tree)) if ours in {"ktrans", "plugins"} else None

        self.room = room

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Note an event; this is the profile function of every thread."""
        code = frame.f_code
        if event not in {"call", "return"} or not self._counts(code):
            return
        task = code.co_qualname == TASK
        if event == "return":
            self._open = self._open and not task
            return
        chain = tuple(self._chain(frame))
        if task or len(chain) == 1:
            self._open = self._open or task
            self._thread.inside = self._open
        if self._open and self._thread.inside:
            self.calls.append(chain)
            if code.co_name == "decode" and isinstance(frame.f_locals.get("self"), self._base):
                self.decoders.add(code)

    def _counts(self, code: CodeType) -> bool:
        return self.room(code.co_filename) is not None

    def _chain(self, frame: FrameType | None) -> Iterator[CodeType]:
        while frame is not None:
            if self._counts(frame.f_code):
                yield frame.f_code
            frame = frame.f_back

    def result(self) -> dict[str, Any]:
        """Return the figures of the task."""
        rooms = [[self.room(code.co_filename) for code in chain] for chain in self.calls]
        crossings, entrances = Counter[str](), Counter[str]()
        for chain, place in zip(self.calls, rooms, strict=True):
            if len(chain) > 1 and place[0] != place[1]:
                crossings[f"{place[1]} -> {place[0]}"] += 1
                left = max(at for at, room in enumerate(place) if room != place[-1])
                entrances[f"{place[left]}: {chain[left].co_qualname}"] += 1
        inside = [chain for chain in self.calls if self.decoders.intersection(chain)]
        blocks = sum(not self.decoders.intersection(chain[1:]) for chain in inside)
        depths = [at for chain in inside for at, code in enumerate(chain) if code in self.decoders]
        return {
            "files": len({chain[0].co_filename for chain in self.calls}),
            "functions": len({chain[0] for chain in self.calls}),
            "calls": len(self.calls),
            "rooms": len({place[0] for place in rooms}),
            "room crossings": crossings.total(),
            "blocks": blocks,
            "calls of one block's decode": round(len(inside) / max(blocks, 1)),
            "functions of one block's decode": len({chain[0] for chain in inside}),
            "depth of one block's decode": max(depths, default=0),
            "crossings from room to room": dict(crossings.most_common()),
            "crossings below each call that leaves the engine": dict(entrances.most_common()),
        }


def trace(decoder: str, path: Path) -> dict[str, Any]:
    """Run a pipeline over one object twice, and return the figures of its second task.

    The first run fills caches and imports what is imported on first use.
    """
    profile = Trace()
    _run(decoder, path)
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        rows = _run(decoder, path)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    if not profile.calls:
        raise SystemExit(f"No function is named {TASK}: set TASK to the one that runs a task.")
    return {"rows": rows, **profile.result()}


def _run(decoder: str, path: Path) -> int:
    """Run the pipeline in this process and return the number of rows that it wrote."""
    from pyarrow import parquet

    from ktrans.cli import main

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "rooms.yaml")
        config.write_text(PIPELINE.format(path=path, decoder=decoder))
        try:
            main(["run", "--once", "--quiet", "--no-summary", str(config)])
        except SystemExit as end:
            if end.code:
                raise
        return sum(parquet.read_metadata(file).num_rows for file in Path(folder).rglob("*.parquet"))


# -- the code as it is written ----------------------------------------------------------------------


def measure(tree: Path) -> dict[str, Any]:
    """Return lines, files, import circles and imports of plugins of the code in a folder."""
    files = [
        file.relative_to(tree)
        for file in sorted([*tree.glob("ktrans/**/*.py"), *tree.glob("plugins/*/*/**/*.py")])
        if file.relative_to(tree).parts[2:3] != ("tests",)
    ]
    texts = {file: (tree / file).read_text() for file in files}
    sizes = {file: len(text.splitlines()) for file, text in texts.items()}
    lines, count = Counter[str](), Counter[str](room_of(file) for file in files)
    for file, size in sizes.items():
        lines[room_of(file)] += size
    modules = {_module(file): file for file in files}
    imports = {name: set(_imports(texts[file], modules)) for name, file in modules.items()}
    beyond = Counter(
        target
        for name, found in imports.items()
        if modules[name].parts[0] == "plugins"
        for target in found
        if target.startswith("ktrans.")
        and not f"{target}.".startswith(tuple(f"{p}." for p in PUBLIC))
    )
    largest = Counter({str(file): size for file, size in sizes.items()})
    circles = _circles(imports)
    return {
        "lines": sum(sizes.values()),
        "files": len(files),
        "rooms of ktrans": len({room.split("/")[0] for room in lines} - {"plugins", "ktrans"}),
        "files over 300 lines": sum(size > 300 for size in sizes.values()),
        "import circles": len(circles),
        "imports of plugins beyond what is public": beyond.total(),
        "lines by room": dict(lines.most_common()),
        "files by room": dict(count.most_common()),
        "largest files": dict(largest.most_common(20)),
        "modules of each import circle": {" ".join(circle): len(circle) for circle in circles},
        "imports of plugins beyond what is public, by module": dict(beyond.most_common()),
    }


def _module(file: PurePath) -> str:
    parts = file.with_suffix("").parts
    parts = parts if parts[0] == "ktrans" else parts[2:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(text: str, modules: dict[str, PurePath]) -> Iterator[str]:
    """Yield the modules that a module imports, also in functions and under TYPE_CHECKING.

    `from package import module` is an import of the module, not of the package.
    """
    for node in ast.walk(ast.parse(text)):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [target if target in modules else node.module for target in whole]
        yield from (target for target in targets if target in modules)


def _circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""

    @cache
    def reach(start: str) -> frozenset[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo.extend(new)
        return frozenset(seen)

    groups = {frozenset(m for m in reach(n) if n in reach(m)) for n in graph if n in reach(n)}
    return sorted(sorted(group) for group in groups if len(group) > 1)


# -- what is printed --------------------------------------------------------------------------------


def show(title: str, figures: dict[str, Any], top: int) -> None:
    """Print figures as tables, the long ones cut to their first `top` lines."""
    print(f"{title}\n{'=' * len(title)}")
    for name, value in figures.items():
        if not isinstance(value, dict):
            print(f"{value:>9,}  {name}")
            continue
        print(f"\n{name}\n{'-' * len(name)}")
        for key, number in list(value.items())[:top]:
            print(f"{number:>9,}  {key}")
        if len(value) > top:
            print(f"{'':>9}  and {len(value) - top} more")
    print()


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--static", action="store_true", help="measure the code, run nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--top", type=int, default=40, help="lines of a table [40]")
    options = parser.parse_args()
    if options.static:
        found = {"The code": measure(ROOT)}
    else:
        found = {
            f"One {name} task": trace(decoder, EXAMPLES / path)
            for name, (decoder, path) in OBJECTS.items()
        }
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for title, figures in found.items():
        show(title, figures, options.top)


if __name__ == "__main__":
    main()
