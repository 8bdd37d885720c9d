"""Writes the reference pages from the code: `python docs/site/reference.py`; a test compares.

`python docs/site/reference.py NAME` prints one page instead: catalogue, configuration, flow-schema, mapping,
expressions, errors or options.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from catalogue_page import catalogue_page
from expressions_page import expressions_page
from mapping_page import mapping_page
from options_page import options_page

from ktrans.api import Enricher, Sink, Source
from ktrans.api.spec import KINDS, Kind, Spec
from ktrans.config.model import REJECTS_KEYS, SECTIONS, SINK_KEYS, VIOLATIONS_KEYS
from ktrans.config.settings import Case, EngineSettings, LimitSettings, RejectLimit, Rule
from ktrans.engine.executor_choice import ENOUGH_BYTES, ENOUGH_WORKERS
from ktrans.flow.descriptions import describe_columns
from ktrans.flow.schema import SCHEMA_VERSION
from ktrans.registry.catalogue import Catalogue, first_party
from ktrans.registry.explanations import explanations
from ktrans.registry.options import Option, list_options

_KIND_TEXT: dict[Kind, str] = {
    "source": "Where the bytes come from: the section `source`.",
    "decoder": "How the bytes become rows: the section `decoder`.",
    "enricher": "What happens to the rows: each item of the list `enrichers`.",
    "format": "How rows look as bytes: the option `format` of sinks.",
    "sink": "Where rows go: each item of the list `sinks`, and the section `rejects`.",
    "table": "What the files of a sink become part of: the option `table` of the sinks `file`, `s3`, `gcs` "
    "and `azure_blob`. See [lake tables](to-a-lake.md#delta-lake-and-iceberg).",
    "state": "Where a pipeline remembers what it has done: the section `state`; `sqlite` if it has no "
    "`type`.",
    "executor": "What runs the tasks of an epoch: the option `executor` of the section `engine`, as a "
    "type (`executor: processes`) or a mapping with options. An epoch that was begun on one executor "
    "may be finished on another.",
}

_EXECUTORS = f"""\
`auto`, which is the default, takes `threads`, or `processes` if all of this is so:

- The components of the pipeline allow it; `ktrans plan` and `ktrans validate` show what binds them.
- There are at least {ENOUGH_WORKERS} workers (`engine.workers`, by default one a core). Python code runs in one
  thread at a time. It is a third to a half of what a task of AWS text computes, and up to four fifths
  for JSON of Google Cloud, so one process keeps one to three cores busy. With such JSON
  `executor: processes` pays from two or three cores on.
- The epoch has at least two tasks and {ENOUGH_BYTES >> 20} MiB of input, or processes are there from an earlier
  epoch: a new one takes about a second of CPU time before it does anything.

`ktrans plan` shows what would be chosen, and why. An epoch of one task, a dry run and a replay of
rejects are done by threads in any case. An executor that is named, and cannot do the tasks of the
pipeline, is refused (`cannot_spread`).

With `processes` the process of the run plans, commits and records, and each other one does one task at
a time. There are as many as there are workers, and no more than an epoch has tasks; if it has fewer,
each has several threads. What blocks may take of memory is divided among them, so all together have
as much as threads would; each process itself takes about 120 MB, half of it shared with the others. One
that dies loses its task, which
is done again by another one; after two deaths its objects are read one after another, and one that
kills the process that reads it is quarantined. They end when the run does, however it ends. Signals
go to the process of the run. The receipt lists at most the first hundred choices of `auto` decoders of
each process.

Other processes build the pipeline by themselves, from the text of the pipeline file. References such as
`${{env:NAME}}` are filled in there, from their own environment; what they stand for is not sent, but what is
written in the file itself is. Versions,
options and the content of files of tables are compared, and a process in which they differ is refused
(`worker_differs`). If `auto` chose it, the run goes on in threads and says so. That happens when a
table changes while a run with `--follow` keeps the one that it has read."""

_KIND_TITLE: dict[Kind, str] = {"state": "State stores"}


def configuration_page(catalogue: Catalogue) -> str:
    """Write the reference of every section and every component, as Markdown."""
    return "\n".join(_configuration(catalogue)).rstrip() + "\n"


def _configuration(catalogue: Catalogue) -> Iterator[str]:
    yield "# Configuration"
    yield ""
    yield "Written by `make docs` from the models. `ktrans schema`"
    yield "prints the same as JSON Schema, `ktrans components KIND TYPE` one component of it."
    yield ""
    yield "A pipeline is one YAML 1.2 file. Relative paths are relative to the file. In texts"
    yield "`${env:NAME}`, `${env:NAME:-default}` and `${file:/path}` are filled in after parsing;"
    yield "`$$` is a dollar sign. Sections whose name begins with `x-` are free for anchors."
    yield ""
    yield "Sizes and durations are texts with a unit: `128 MB` (B, kB, MB, GB, TB, or KiB, MiB, GiB, TiB"
    yield "for powers of 1024), `90s`, `10m`, `1h30m` (ms, s, m, h, d). A bare number is bytes or seconds."
    yield ""
    yield "| Section | What it is |"
    yield "|---|---|"
    for name, text in SECTIONS.items():
        yield f"| `{name}` | {text} |"
    yield ""
    for kind in KINDS:
        yield f"## {_KIND_TITLE.get(kind, f'{kind.capitalize()}s')}"
        yield ""
        yield _KIND_TEXT[kind]
        yield ""
        if kind == "sink":
            yield "Every sink also takes:"
            yield ""
            yield "| Option | What it is |"
            yield "|---|---|"
            for name, text in SINK_KEYS.items():
                yield f"| `{name}` | {text} |"
            yield ""
        if kind == "executor":
            yield _EXECUTORS
            yield ""
        for spec in catalogue.specs(kind):
            yield from _component(catalogue, spec)
    yield "## Rejects"
    yield ""
    yield f"Any sink, and `limit`: {REJECTS_KEYS['limit']}"
    yield ""
    yield from _table(list_options(RejectLimit))
    yield from _expect()
    for title, model in (
        ("Limits", LimitSettings),
        ("Engine", EngineSettings),
        ("Tests", Case),
    ):
        yield f"## {title}"
        yield ""
        yield SECTIONS[title.lower()]
        yield ""
        yield from _table(list_options(model))


def _expect() -> Iterator[str]:
    yield "## Expect"
    yield ""
    yield SECTIONS["expect"].replace("compliance.md", "[compliance](compliance.md)")
    yield ""
    yield from _table(list_options(Rule))
    yield "## Violations"
    yield ""
    yield SECTIONS["violations"]
    yield f"Any sink, and `columns`: {VIOLATIONS_KEYS['columns']}"
    yield ""


def _component(catalogue: Catalogue, spec: Spec) -> Iterator[str]:
    model = catalogue.model(spec.kind, spec.type)
    yield f"### {spec.kind} `{spec.type}`"
    yield ""
    facts: list[str] = [spec.stability]
    if spec.delivery:
        facts.append(spec.delivery.replace("_", " "))
    if spec.kind == "source" and not spec.finite:
        facts.append("never ends by itself")
    facts += _where(catalogue, spec)
    plugin = catalogue.origin(spec.kind, spec.type).distribution
    comes = (
        ""
        if plugin == "ktrans"
        else f" Comes with the plugin [{plugin}](../plugins/{plugin}/README.md)."
    )
    yield f"{spec.summary} ({', '.join(facts)}).{comes}"
    yield ""
    found = list_options(model, model.nested)
    if found:
        yield from _table(found)
    else:
        yield "It has no options."
        yield ""


_SAYS: dict[str, tuple[str, Any]] = {
    "source": ("reads", Source.reads),
    "enricher": ("runs", Enricher.runs),
    "sink": ("stages", Sink.stages),
}
_WHERE = {
    "anywhere": "on any machine",
    "shared_path": "on machines that see the same paths",
    "here": "in one process",
}


def _where(catalogue: Catalogue, spec: Spec) -> Iterator[str]:
    """Say where tasks with a component may run; nothing if that is anywhere for an enricher."""
    if spec.kind not in _SAYS:
        return
    name, default = _SAYS[spec.kind]
    built = catalogue.load(spec.build)
    if not isinstance(built, type):
        built = catalogue.load(f"{built.__module__}:{built.__annotations__['return']}")
    said = getattr(built, name)
    if isinstance(said, str):
        yield f"tasks {_WHERE[said]}"
    elif said is not default:
        yield "where tasks may run depends on its options"
    elif spec.kind != "enricher":
        yield f"tasks {_WHERE['here']}"


def _table(found: list[Option]) -> Iterator[str]:
    yield "| Option | Type | Default | What it is | Example |"
    yield "|---|---|---|---|---|"
    for option in found:
        default = "required" if option.required else _code(option.default)
        example = _code(option.examples[0]) if option.examples else ""
        text = option.description.replace("|", "\\|").replace("\n", " ")
        kind = option.type.replace("|", "\\|")
        yield f"| `{option.name}` | {kind} | {default} | {text} | {example} |"
    yield ""


def _code(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "\\|") if text.strip("`") else '`""`'


def flow_page() -> str:
    """Write the reference of the flow schema, as Markdown."""
    lines = [
        "# The flow schema",
        "",
        "Written by `make docs` from `ktrans/flow/schema.py`.",
        f"This is version {SCHEMA_VERSION}.",
        "",
        "One row is one observation of one 5-tuple at one capture point in one window. Null means",
        "that the log did not report it, never 0, an empty text or a dash.",
        "",
        "| Column | Type | Unit or values | Meaning | AWS |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c['name']}` | {c['type']} | {c['unit']} | {c['description']} | {c['source']} |"
        for c in describe_columns()
    ]
    return "\n".join(lines) + "\n"


def errors_page(catalogue: Catalogue) -> str:
    """Write the page of all error codes, as Markdown."""
    return "\n".join(_errors(catalogue)) + "\n"


def _errors(catalogue: Catalogue) -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield "Written by `make docs` from the codes that the program"
    yield "knows. A code stands in brackets in messages (`error[reject_limit]`), and in receipts,"
    yield "rejects and metrics; `ktrans explain CODE` prints its entry."
    heading = ""
    for explanation in explanations(catalogue):
        if explanation.title != heading:
            heading = explanation.title
            yield ""
            yield f"## {heading}"
        yield ""
        yield f"### `{explanation.code}`"
        yield ""
        yield explanation.cause
        yield ""
        yield f"What to do: {explanation.cure}"


PAGES: dict[str, Callable[[], str]] = {
    "catalogue": lambda: catalogue_page(first_party()),
    "configuration": lambda: configuration_page(first_party()),
    "flow-schema": flow_page,
    "mapping": mapping_page,
    "expressions": expressions_page,
    "errors": lambda: errors_page(first_party()),
    "options": options_page,
}


def main(arguments: list[str]) -> None:
    """Write all pages, or print the one that is named."""
    for name in arguments:
        sys.stdout.write(PAGES[name]())
    for name in () if arguments else PAGES:
        Path(__file__).parents[1].joinpath(f"{name}.md").write_text(PAGES[name](), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
