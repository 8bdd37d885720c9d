"""`ktrans doctor`: checks the machine, the installation and pipelines."""

from __future__ import annotations

import click

from ktrans.cli.pipelines import catalogue, chosen_profile, profile_option
from ktrans.kit.cli import json_option, show_json

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command("doctor")
@click.argument("configs", type=click.Path(), nargs=-1, metavar="[CONFIG]...")
@profile_option
@json_option
def command(configs: tuple[str, ...], as_json: bool) -> int:
    """Check the machine, the installation and, if named, pipelines and what they connect to.

    Looks at versions, plugins, clock, limits, credentials (whether there are any, never their
    values), files, hosts and permissions. Exits 1 if something would make a run fail.
    """
    from ktrans.tools.doctor import check_machine, check_pipelines

    found = catalogue()
    findings = []
    pipelines = (check_pipelines(name, found, chosen_profile()) for name in configs)
    for group in (check_machine(found), *pipelines):
        for finding in group:
            findings.append(finding)
            if as_json:
                continue
            word = click.style(f"{finding.verdict:8}", fg=_COLOURS[finding.verdict])
            click.echo(f"{word} {finding.subject}: {finding.message}")
            if finding.hint:
                click.echo(f"         {finding.hint}")
    failed = sum(finding.verdict == "failed" for finding in findings)
    if as_json:
        show_json({"failed": failed, "findings": findings})
    elif not failed:
        click.echo("no problems found")
    return 1 if failed else 0
