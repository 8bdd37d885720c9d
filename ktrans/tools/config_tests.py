"""Runs the tests of a pipeline: passes their input through its stages, and compares the rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ktrans.api import BytesPayload, ConfigError, Decoded, KtransError, Split, UsageError
from ktrans.config.model import Pipeline
from ktrans.config.settings import Case
from ktrans.config.yaml_read import read_document
from ktrans.engine.assemble import assemble
from ktrans.engine.assembly import Assembly
from ktrans.engine.rules import find_rows
from ktrans.registry.catalogue import Catalogue
from ktrans.registry.validation import validate_model
from ktrans.registry.wording import say
from ktrans.tools.preview import run_stages


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that differs from the expected one.

    Attributes:
        row: the number of the row, from 1; 0 for all of them.
        column: the name of the column, or what was compared: "rows", "rejects", "error".
        expected, actual: the two values as text.
    """

    row: int
    column: str
    expected: str
    actual: str


@dataclass(slots=True)
class TestResult:
    """The result of a test."""

    case: Case
    differences: list[Difference] = field(default_factory=list)
    rows: int = 0

    @property
    def passed(self) -> bool:
        """Whether everything is as expected."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form that `ktrans test --json` prints."""
        return {
            "name": self.case.name,
            "passed": self.passed,
            "rows": self.rows,
            "differences": self.differences,
        }


def run_config_tests(pipeline: Pipeline, catalogue: Catalogue) -> Iterator[TestResult]:
    """Run all tests of a pipeline, each with its own components.

    Raises:
        ConfigError: the tests or the pipeline are not valid.
    """
    for case in read_cases(pipeline):
        with closing(assemble(pipeline, catalogue, ephemeral=True)) as assembly:
            yield _run(case, assembly, pipeline.base_dir)


def read_cases(pipeline: Pipeline) -> list[Case]:
    """Return the tests in the pipeline file, and those of `<its name>.tests.yaml` beside it.

    The second file is read only if the pipeline file holds one pipeline.

    Raises:
        ConfigError: the second file is invalid.
    """
    if not pipeline.alone:
        return [*pipeline.tests]
    return [*pipeline.tests, *cases_of(pipeline.path.with_suffix(".tests.yaml"))]


def cases_of(path: Path) -> list[Case]:
    """Read a file of tests: a list, or a mapping with `tests`; empty if there is no file.

    Raises:
        ConfigError: the file is invalid.
    """
    if not path.exists():
        return []
    document = read_document(path)
    tree = document.tree
    place: tuple[str | int, ...] = ()
    if isinstance(tree, dict) and set(tree) == {"tests"}:
        tree, place = tree["tests"], ("tests",)
    if not isinstance(tree, list):
        raise ConfigError(
            f"the file holds {say(tree)} instead of a list of tests",
            code="wrong_type",
            where=document.where(*place),
        )
    cases = []
    for at, raw in enumerate(tree):
        if not isinstance(raw, dict):
            raise ConfigError(
                f"a test must be a mapping, not {say(raw)}",
                code="wrong_type",
                where=document.where(*place, at),
            )
        case, wrong = validate_model(Case, raw, f"test {at + 1}")
        for problem in wrong:
            error = problem.error()
            error.where = document.where(*place, at, *problem.path)
            raise error
        if case is not None:
            cases.append(case)
    return cases


def _run(case: Case, assembly: Assembly, base_dir: Path) -> TestResult:
    result = TestResult(case)
    try:
        table, rejects = run_stages(assembly, _decoded(case, assembly, base_dir), None, case.after)
    except (ConfigError, UsageError):
        raise
    except KtransError as error:
        result.differences.append(Difference(0, "error", "rows", error.message))
        return result
    result.rows = table.num_rows
    if case.count is not None and table.num_rows != case.count:
        wrong = Difference(0, "rows", str(case.count), str(table.num_rows))
        result.differences.append(wrong)
    if case.rows is not None:
        result.differences += _compare("rows", case.rows, table.to_pylist())
    if case.expect is not None:
        result.differences += _compare_rules(case.expect, assembly, table)
    result.differences += _compare("rejects", case.rejects or [], rejects.to_pylist())
    return result


def _compare_rules(
    expected: dict[str, int], assembly: Assembly, table: pa.Table
) -> Iterator[Difference]:
    """Compare how many rows the rules of `expect` find."""
    counts: dict[str, int] = dict.fromkeys((rule.name for rule in assembly.rules), 0)
    for batch in table.to_batches():
        find_rows(assembly.rules, batch, counts)
    for name, count in expected.items():
        if counts.get(name) != count:
            actual = str(counts[name]) if name in counts else "no such rule"
            yield Difference(0, f"expect: {name}", str(count), actual)


def _decoded(case: Case, assembly: Assembly, base_dir: Path) -> Iterator[Decoded]:
    if case.input is not None:
        name, data = "input", case.input.encode()
    else:
        path = base_dir / str(case.file)
        try:
            name, data = str(case.file), path.read_bytes()
        except (OSError, ValueError) as error:  # a NUL is a ValueError
            reason = getattr(error, "strerror", error)
            raise ConfigError(
                f"test {case.name!r}: {case.file!r} cannot be read: {reason}", code="file_io"
            ) from error
    payload = BytesPayload(Split("test", f"test://{name}", len(data)), data)
    for block in assembly.decoder.blocks(payload):
        yield assembly.decoder.decode(block)


def _compare(
    what: str, expected: list[dict[str, Any]], actual: list[dict[str, Any]]
) -> list[Difference]:
    found = []
    if len(expected) != len(actual):
        found.append(Difference(0, what, str(len(expected)), str(len(actual))))
    for number, (wanted, given) in enumerate(zip(expected, actual, strict=False), 1):
        for column, value in wanted.items():
            if column not in given:
                found.append(Difference(number, column, _plain(value), "no such column"))
            elif _plain(value) != _plain(given[column]):
                found.append(Difference(number, column, _plain(value), _plain(given[column])))
    surplus = actual[len(expected) :] if what == "rejects" else []
    for number, reject in enumerate(surplus, len(expected) + 1):
        text = f"{reject['reason']}: {reject['detail'] or ''} in {reject['raw']!r}"
        found.append(Difference(number, "reject", "none", text))
    return found


def _plain(value: Any) -> str:
    """Return a value as text; equal times have equal texts."""
    if isinstance(value, str):
        value = _moment(value)
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        value = dict(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_plain(v)}" for k, v in sorted(value.items())) + "}"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _moment(text: str) -> str | dt.datetime:
    """Parse a time; return the text if it is not one."""
    if "T" not in text and " " not in text:
        return text
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return text
