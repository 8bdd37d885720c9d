"""Tests of a pipeline, beside it or in it: some input, and the rows that it must become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from ktrans.api import ConfigError
from ktrans.config.model import Settings
from ktrans.config.yaml_document import read_document
from ktrans.registry.validation import validate_model
from ktrans.registry.wording import say

if TYPE_CHECKING:
    from typing import Self

    from ktrans.config.model import Pipeline


class Case(Settings):
    """One test of a pipeline."""

    name: str = Field(description="What is tested, in words.", examples=["ICMP has no ports"])
    input: str | None = Field(
        default=None,
        description="The object that the decoder reads, written out.",
        examples=["2 111122223333 eni-1 10.0.0.1 10.0.0.2 443 40000 6 1 52 1767225600 1767225660"],
    )
    file: str | None = Field(
        default=None,
        description="Or a file that holds it, relative to the pipeline file's folder.",
        examples=["samples/flows.log.gz"],
    )
    after: str | None = Field(
        default=None,
        description="The stage to look after: `decoder`, an enricher by type or number, or a "
        "sink's id; after the last enricher by default.",
        examples=["cidr", "lake"],
    )
    rows: list[dict[str, Any]] | None = Field(
        default=None,
        description="The rows expected, in order. Only the columns that are named are compared; "
        "null means no value.",
        examples=[[{"src_addr": "10.0.0.1", "bytes": 52}]],
    )
    count: int | None = Field(
        default=None, ge=0, description="How many rows are expected.", examples=[3]
    )
    rejects: list[dict[str, Any]] | None = Field(
        default=None,
        description="The rejects expected, in order: any of reason, source_pos, detail, raw. None "
        "at all are expected if this is not given.",
        examples=[[{"reason": "bad_integer", "source_pos": 2}]],
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.input is None) == (self.file is None):
            raise ValueError("a test has either `input` or `file`")
        if self.rows is None and self.count is None and self.rejects is None:
            raise ValueError("a test expects something: `rows`, `count` or `rejects`")
        return self


def read_cases(pipeline: Pipeline) -> list[Case]:
    """Give the tests in the pipeline file, then those of `<its name>.tests.yaml` beside it.

    The file beside it is for a pipeline that has its file for itself.

    Raises:
        ConfigError: that file holds something else.
    """
    if not pipeline.alone:
        return [*pipeline.tests]
    return [*pipeline.tests, *cases_of(pipeline.path.with_suffix(".tests.yaml"))]


def cases_of(path: Path) -> list[Case]:
    """Read a file of tests: a list, or a mapping with `tests`. No file, no tests.

    Raises:
        ConfigError: it holds something else.
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
            f"this holds {say(tree)}, not a list of tests",
            code="wrong_type",
            where=document.where(*place),
        )
    cases = []
    for at, raw in enumerate(tree):
        if not isinstance(raw, dict):
            raise ConfigError(
                f"a test is a mapping, and this is {say(raw)}",
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
