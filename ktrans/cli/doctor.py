"""`ktrans doctor`: what is wrong with this machine, this installation, these pipelines?"""

from __future__ import annotations

import click

from ktrans.cli.common import (
    catalogue,
    chosen_profile,
    debug_option,
    json_option,
    profile_option,
)
from ktrans.cli.failures import show_json

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command("doctor")
@click.argument("configs", type=click.Path(), nargs=-1, metavar="[CONFIG]...")
@profile_option
@json_option
@debug_option
def command(configs: tuple[str, ...], as_json: bool) -> int:
    """Check the machine, the installation and, if named, pipelines with all that they reach.

    Looks at versions, plugins, clock, limits, credentials (that there are some, never what they
    are), files, hosts and permissions. Exits 1 if something would keep a run from working.
    """
    from ktrans.tools.doctor import examine_machine, examine_pipelines

    found = catalogue()
    findings = []
    pipelines = (examine_pipelines(name, found, chosen_profile()) for name in configs)
    for group in (examine_machine(found), *pipelines):
        for finding in group:
            findings.append(finding)
            if as_json:
                continue
            word = click.style(f"{finding.verdict:8}", fg=_COLOURS[finding.verdict])
            click.echo(f"{word} {finding.about}: {finding.told}")
            if finding.hint:
                click.echo(f"         {finding.hint}")
    failed = sum(finding.verdict == "failed" for finding in findings)
    if as_json:
        show_json({"failed": failed, "findings": [finding.to_json() for finding in findings]})
    elif not failed:
        click.echo("nothing would keep a run from working")
    return 1 if failed else 0
