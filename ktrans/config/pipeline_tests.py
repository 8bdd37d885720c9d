"""Reads the tests of a pipeline, from its file and from the file of tests beside it."""

from __future__ import annotations

from pathlib import Path

from ktrans.api import ConfigError
from ktrans.config.model import Case, Pipeline
from ktrans.config.yaml_read import read_document
from ktrans.registry.validation import validate_model
from ktrans.registry.wording import say


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
