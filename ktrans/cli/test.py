"""`ktrans test`: does some input become the rows that it should?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.common import (
    catalogue,
    chosen_profile,
    debug_option,
    json_option,
    profile_option,
    table,
)
from ktrans.cli.failures import show_json

if TYPE_CHECKING:
    from ktrans.tools.config_tests import Outcome

FAILED = 1


@click.command("test")
@click.argument("configs", type=click.Path(), nargs=-1, required=True, metavar="CONFIG...")
@profile_option
@json_option
@debug_option
def command(configs: tuple[str, ...], as_json: bool) -> int:
    """Run the tests of pipelines: `tests:` in the file, and FILE.tests.yaml beside FILE.yaml.

    A test has some input and what it must become: rows after a stage, and rejects. The source and
    the sinks are not touched. Exits 1 if a test fails.
    """
    from ktrans.config.draft import LoadOptions
    from ktrans.config.load import load_all
    from ktrans.tools.config_tests import try_out

    found = catalogue()
    told: list[dict[str, Any]] = []
    passed = failed = 0
    for config in configs:
        loaded = load_all([config], found, LoadOptions(profile=chosen_profile()))
        if (error := loaded.error()) is not None:
            raise error
        for pipeline in (file.pipeline for file in loaded.files):
            about = str(pipeline.path) if pipeline.alone else f"{pipeline.path} ({pipeline.name})"
            outcomes = []
            for outcome in try_out(pipeline, found):
                outcomes.append(outcome)
                passed, failed = passed + outcome.passed, failed + (not outcome.passed)
                if not as_json:
                    _show(about, outcome)
            tests = [outcome.to_json() for outcome in outcomes]
            told.append({"config": str(pipeline.path), "name": pipeline.name, "tests": tests})
            if not outcomes and not as_json:
                click.echo(f"{about}: no tests")
    if as_json:
        show_json({"passed": passed, "failed": failed, "pipelines": told})
    else:
        click.echo(f"{passed} passed, {failed} failed")
    return FAILED if failed else 0


def _show(config: str, outcome: Outcome) -> None:
    if outcome.passed:
        click.echo(f"{click.style('ok', fg='green')}  {config}: {outcome.case.name}")
        return
    click.echo(f"{click.style('failed', fg='red')}  {config}: {outcome.case.name}")
    rows = [
        [str(d.row) if d.row else "all", d.column, d.expected, d.actual]
        for d in outcome.differences
    ]
    for line in table(["row", "column", "expected", "actual"], rows).splitlines():
        click.echo(f"    {line}")
