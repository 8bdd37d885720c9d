"""`ktrans report`: the options, and the output of the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ktrans.kit.cli import json_option, output_file, show_json

EPILOG = """\b
Examples:
  ktrans report out/quickstart/lake/
  ktrans report --receipt receipt.json --output friday.html
  ktrans report --iceberg lake.flows --catalog sqlite:///out/catalog.db
  ktrans report s3://my-lake/flows/ --from 2026-05-04 --to 2026-05-05 --price-internet 0.09
"""

_price = click.FloatRange(min=0)


@click.command("report", epilog=EPILOG)
@click.argument("places", nargs=-1, metavar="[PLACE]...")
@click.option(
    "--receipt",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="A receipt of `ktrans run`: shows the run too, and reads its output if no PLACE is given.",
)
@click.option("--sink", metavar="ID", help="With --receipt: the sink whose output is read.")
@click.option(
    "--iceberg",
    metavar="TABLE",
    help="An Iceberg table instead of a PLACE: namespace and name, such as lake.flows.",
)
@click.option(
    "--catalog",
    metavar="CATALOG",
    help="With --iceberg: address of the catalogue (https://..., sqlite:///...), or its name in"
    " pyiceberg's own settings.  [default: default]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="File of the page; - is standard output.  [default: ktrans-report.html]",
)
@click.option("--title", metavar="TEXT", help="The page's title.  [default: from the places]")
@click.option("--from", "start", metavar="TIME", help="Only rows from this time on, UTC.")
@click.option("--to", "end", metavar="TIME", help="Only rows before this time, UTC.")
@click.option(
    "--top", type=click.IntRange(1, 50), default=12, show_default=True, help="Bars in a chart."
)
@click.option(
    "--all-reports",
    is_flag=True,
    help="Count each report of a flow, also where both of its ends logged it.",
)
@click.option(
    "--expect",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="YAML with `accounts:` and `interfaces:` that should have rows.",
)
@click.option("--price-internet", type=_price, metavar="USD", help="USD per GB to the internet.")
@click.option("--price-zone", type=_price, metavar="USD", help="USD per GB between zones.")
@click.option("--price-region", type=_price, metavar="USD", help="USD per GB between regions.")
@click.option(
    "--endpoint", metavar="URL", help="Address of S3 if it is not AWS: MinIO, Ceph, a VPC endpoint."
)
@click.option(
    "--memory",
    metavar="SIZE",
    default="1 GiB",
    show_default=True,
    help="Memory for the aggregation; the rest goes to a temporary folder.",
)
@json_option
def command(places: tuple[str, ...], output: str | None, as_json: bool, **given: Any) -> None:
    """Draw a lake of flows, or the output of a run, as one HTML page.

    PLACE is a folder or file of Parquet, JSON lines or CSV, as the sinks write them, or a prefix
    such as s3://bucket/flows/. If it is a Delta table, only the files of its newest version are
    read. The page needs no network and runs no scripts. With --json the
    numbers go to standard output, and the page is written only if --output names it.
    """
    from ktrans.api import UsageError
    from ktrans_report.options import Options, memory, moment
    from ktrans_report.page import render
    from ktrans_report.report import make

    if not places and given["receipt"] is None and given["iceberg"] is None:
        raise UsageError(
            "name a lake or a receipt",
            hint="ktrans report out/lake/, or ktrans report --receipt receipt.json",
        )
    if places and given["iceberg"] is not None:
        raise UsageError("--iceberg is instead of a PLACE")
    if given["catalog"] is not None and given["iceberg"] is None:
        raise UsageError("--catalog is for --iceberg")
    if as_json and output == "-":
        raise UsageError("--json and --output - would both write to standard output")
    options = Options(
        places=places,
        start_us=moment(given.pop("start"), "--from"),
        end_us=moment(given.pop("end"), "--to"),
        memory=memory(given.pop("memory")),
        **given,
    )
    report = make(options)
    if as_json:
        show_json(report.to_json())
        if output is None:
            return
    path = None if output == "-" else Path(output or "ktrans-report.html")
    with output_file(path) as file:
        file.write(render(report).encode())
    if path and not as_json:
        click.echo(f"{path}: {report.headline()}", err=True)
