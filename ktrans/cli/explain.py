"""`ktrans explain`: the meaning of error codes."""

from __future__ import annotations

import click

from ktrans.cli.pipelines import catalogue
from ktrans.kit.cli import json_option, show_json

JSON_KEYS = ("code", "cause", "cure", "distribution")


@click.command("explain")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@json_option
def command(codes: tuple[str, ...], as_json: bool) -> None:
    """Explain what an error code or a reject reason means, and what to do about it.

    Codes are in brackets in messages (`error[reject_limit]`), and in receipts, rejects and
    metrics. Without CODE: all of them.
    """
    from ktrans.api import UsageError
    from ktrans.registry.explanations import explanations
    from ktrans.registry.suggest import near

    explained = explanations(catalogue())
    known = {one.code for one in explained}
    for code in codes:
        if code not in known:
            meant = near(code, known)
            hint = f"did you mean {meant}?" if meant else "`ktrans explain` lists all codes"
            raise UsageError(f"there is no code {code!r}", hint=hint)
    chosen = [one for code in codes for one in explained if one.code == code] or explained
    if as_json:
        show_json({"codes": [{n: getattr(one, n) for n in JSON_KEYS} for one in chosen]})
        return
    for one in chosen:
        click.echo(f"{click.style(one.code, bold=True)}: {one.cause}\n    {one.cure}")
