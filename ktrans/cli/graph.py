"""`ktrans graph`: draws a pipeline."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from ktrans.cli.pipelines import config_argument, load
from ktrans.kit.cli import json_option, output_file, show_json

FORMATS = ("mermaid", "svg")


_ENDINGS = {
    ".svg": "svg",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".txt": "mermaid",
}


@click.command("graph")
@config_argument
@click.option(
    "--format",
    "notation",
    type=click.Choice(FORMATS),
    help="Default: from the ending of the output file, otherwise mermaid.",
)
@click.option("--columns", is_flag=True, help="Label the edges with the columns and their types.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file."
)
@json_option
def command(
    config: str, notation: str | None, columns: bool, output: Path | None, as_json: bool
) -> None:
    """Draw a pipeline: its components, and the columns that pass from one to the next.

    GitHub, GitLab and most wikis display Mermaid; SVG is a complete picture, with the columns as
    tooltips.
    """
    from ktrans.engine.assemble import assemble
    from ktrans.observe import drawing
    from ktrans.observe.graph import graph_of

    chosen = notation or _notation_of(output)
    pipeline, found = load(config)
    with closing(assemble(pipeline, found)) as assembly:
        graph = graph_of(assembly)
    if as_json:
        show_json(graph.to_json())
        return
    text = drawing.svg(graph) if chosen == "svg" else drawing.mermaid(graph, columns=columns)
    if output is None:
        click.echo(text, nl=False)
    else:
        with output_file(output) as out:
            out.write(text.encode())
        click.echo(f"{output}: {len(graph.nodes)} components", err=True)


def _notation_of(output: Path | None) -> str:
    """Return the notation that the name of a file asks for.

    Raises:
        UsageError: it ends otherwise.
    """
    if output is None:
        return "mermaid"
    notation = _ENDINGS.get(output.suffix.lower())
    if notation is None:
        from ktrans.api import UsageError

        raise UsageError(
            f"{output}: a graph is not written as {output.suffix or 'a file without an ending'}",
            hint=f"end the name in {', '.join(_ENDINGS)}, or say what it is by --format",
        )
    return notation
