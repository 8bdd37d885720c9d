"""`ktrans explain`: what does this code mean?"""

from __future__ import annotations

import click

from ktrans.cli.common import debug_option, json_option
from ktrans.cli.failures import show_json


@click.command("explain")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@json_option
@debug_option
def command(codes: tuple[str, ...], as_json: bool) -> int:
    """Say what an error code or a reason of rejects means, and what to do about it.

    Codes stand in brackets in messages (`error[reject_limit]`), and in receipts, rejects and
    metrics. Without CODE: all of them.
    """
    from ktrans.api import UsageError
    from ktrans.registry.codes import meanings
    from ktrans.registry.suggest import near

    known = meanings()
    for code in codes:
        if code not in known:
            meant = near(code, list(known))
            hint = f"did you mean {meant}?" if meant else "`ktrans explain` lists all"
            raise UsageError(f"there is no code {code!r}", hint=hint)
    told = [known[code] for code in codes] if codes else list(known.values())
    if as_json:
        show_json({"codes": [{"code": m.code, "cause": m.cause, "cure": m.cure} for m in told]})
        return 0
    for meaning in told:
        click.echo(f"{click.style(meaning.code, bold=True)}: {meaning.cause}\n    {meaning.cure}")
    return 0
