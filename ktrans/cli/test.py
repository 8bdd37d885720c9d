"""`ktrans test`: runs the tests of pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ktrans.cli.pipelines import catalogue, chosen_profile, profile_option
from ktrans.kit.cli import json_option, show_json, table

if TYPE_CHECKING:
    from ktrans.tools.config_tests import TestResult

FAILED = 1


@click.command("test")
@click.argument("configs", type=click.Path(), nargs=-1, required=True, metavar="CONFIG...")
@profile_option
@json_option
def command(configs: tuple[str, ...], as_json: bool) -> int:
    """Run the tests of pipelines: `tests:` in the file, and FILE.tests.yaml beside FILE.yaml.

    A test has some input, and the rows after a stage and the rejects that are expected. The source
    and the sinks are not used. Exits 1 if a test fails.
    """
    from ktrans.config.draft import LoadOptions
    from ktrans.config.load import load_all
    from ktrans.engine.examine import examine
    from ktrans.tools.config_tests import run_config_tests

    found = catalogue()
    results: list[dict[str, Any]] = []
    passed = failed = 0
    for config in configs:
        loaded = load_all([config], found, LoadOptions(profile=chosen_profile(), examine=examine))
        if (error := loaded.error()) is not None:
            raise error
        for pipeline in (file.pipeline for file in loaded.files):
            label = str(pipeline.path) if pipeline.alone else f"{pipeline.path} ({pipeline.name})"
            outcomes = []
            for outcome in run_config_tests(pipeline, found):
                outcomes.append(outcome)
                passed, failed = passed + outcome.passed, failed + (not outcome.passed)
                if not as_json:
                    _show(label, outcome)
            tests = [outcome.to_json() for outcome in outcomes]
            results.append({"config": str(pipeline.path), "name": pipeline.name, "tests": tests})
            if not outcomes and not as_json:
                click.echo(f"{label}: no tests")
    if as_json:
        show_json({"passed": passed, "failed": failed, "pipelines": results})
    else:
        click.echo(f"{passed} passed, {failed} failed")
    return FAILED if failed else 0


def _show(config: str, outcome: TestResult) -> None:
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
