"""Makes a report: finds the rows, counts, asks every section, and puts the page together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from ktrans.api import UsageError
from ktrans_report import summary, tables, text
from ktrans_report.counting import count
from ktrans_report.lake import Lake, open_lake, reading
from ktrans_report.model import Report, Tile
from ktrans_report.options import Expected, Options
from ktrans_report.places import Found, find
from ktrans_report.receipts import load_receipt, of_receipt
from ktrans_report.sections import (
    cost,
    coverage,
    exposure,
    paths,
    rejected,
    run,
    services,
    talkers,
    traffic,
)


def make(options: Options) -> Report:
    """Read and count.

    Raises:
        UsageError: there is nothing to read, or it is not clear what.
        ConfigError: a receipt, a price table or a list of what to expect is wrong.
        RunError: files are damaged.
    """
    expected = options.expected()
    receipt = load_receipt(options.receipt) if options.receipt else None
    if options.iceberg or options.places:
        found = _found(options)
        places = [options.iceberg] if options.iceberg else list(options.places)
    else:
        assert receipt is not None
        found, sink = of_receipt(receipt, options.sink, options.endpoint)
        places = [f"sink {sink['id']} of {receipt['pipeline']}"] if sink else []
    title = options.title or _title(receipt, places)
    report = Report(title, [text.clean(place) for place in places], dt.datetime.now(dt.UTC))
    if receipt is not None:
        report.sections.append(run.section(receipt, options.top))
    if not found.files:
        empty = "run wrote" if receipt is not None and not options.places else "table has"
        report.notes.append(f"The {empty} no rows, so there is nothing to draw.")
        report.tiles.append(Tile("Rows", "0"))
        return report
    start, end, memory = options.start_us, options.end_us, options.memory
    with reading(found), open_lake(found, start_us=start, end_us=end, memory=memory) as lake:
        _fill(report, lake, options, expected, found)
    return report


def _found(options: Options) -> Found:
    """Find the rows of a table, or the files of places."""
    if options.iceberg:
        return tables.iceberg(options.iceberg, options.catalog, options.endpoint)
    of_tables = [
        place
        for place in options.places
        if place.endswith(tables.METADATA) or tables.is_delta(place, options.endpoint)
    ]
    if not of_tables:
        return find(options.places, options.endpoint)
    place = of_tables[0]
    if len(options.places) > 1:
        raise UsageError(
            f"{place} is a table, and a report of a table has no other places",
            code="several_lakes",
            hint="name one of them",
        )
    if place.endswith(tables.METADATA):
        return tables.iceberg(place, None, options.endpoint)
    return tables.delta(place, options.endpoint)


def _fill(
    report: Report,
    lake: Lake,
    options: Options,
    expected: Expected,
    found: Found,
) -> None:
    count(lake, all_reports=options.all_reports)
    report.numbers = summary.figures(lake)
    report.notes += _notes(lake, report.numbers, options)
    if not lake.rows:
        report.tiles.append(Tile("Rows", "0", f"in {text.amount_of(len(found.files), 'file')}"))
        report.notes.insert(0, "There are no rows in this period, so there is nothing to draw.")
        return
    made = [
        traffic.section(lake),
        coverage.section(lake, options.top, expected),
        talkers.section(lake, options.top),
        services.section(lake, options.top),
        paths.section(lake, options.top),
        rejected.section(lake, options.top),
        exposure.section(lake, options.top),
    ]
    priced = cost.section(lake, options)
    if priced:
        made.append(priced)
    report.tiles = summary.tiles(lake, report.numbers, made)
    report.sections = [*made, *report.sections]


def _notes(lake: Lake, numbers: dict[str, Any], options: Options) -> list[str]:
    """Write what was counted, and what is uncertain about it."""
    made = list(lake.notes)
    made.append("All times are UTC; 1 GB is 10^9 bytes. A row counts at the time when it begins.")
    if numbers["second_reports"]:
        logged = text.amount(numbers["bytes_as_logged"], "bytes")
        made.append(
            f"{text.amount(numbers['second_reports'], 'rows')}"
            f" ({text.share(numbers['second_reports'], numbers['rows'])}) are second reports: another"
            " capture point logged the same two addresses with the same verdict in the same hour."
            " Only the reports of one capture point count, at the source if there is one. The sum"
            f" of all reports is {logged}; --all-reports counts them all. Flows of networks that use"
            " the same private addresses look the same."
        )
    elif lake.totals:
        made.append(
            "The rows are totals of a rollup: sums are added up, and flows are those of the"
            " column `flows`. A flow that both ends logged is in the totals twice."
        )
    elif options.all_reports:
        made.append("Each report counts, also if both ends of a flow logged it.")
    else:
        made.append("No two capture points logged the same flow.")
    if lake.have.get("sample_weight"):
        made.append("Rows are a sample; counters are multiplied by `sample_weight`.")
    if lake.have.get("bytes_rev"):
        made.append("Bytes and packets are of both directions where a row reports both.")
    if numbers["nodata"] or numbers["skipdata"]:
        made.append("NODATA and SKIPDATA rows are not flows; only coverage counts them.")
    if numbers["read_twice"]:
        made.insert(
            0,
            f"Read twice: {text.amount(numbers['read_twice'], 'rows')} are of the same record"
            " (`source_uri` and `source_pos`) as another row, and count twice. A rewind that kept"
            " its files, a reset of the state, or two pipelines that write to one folder cause this.",
        )
    made += _lacking(lake, numbers)
    made.append(
        "Counters are those of the logs. Some clouds and exporters sample before they log"
        " (Google Cloud, NetFlow); if they do not scale their counters up, these are too low."
    )
    return made


def _lacking(lake: Lake, numbers: dict[str, Any]) -> Iterator[str]:
    """Write which rows do not count because a value is missing or impossible."""
    for column, noun in (("bytes", "bytes"), ("action", "a verdict")):
        lacking = lake.rows - lake.have.get(column, 0) - (numbers["nodata"] + numbers["skipdata"])
        if lacking > 0 and lake.has(column):
            yield (
                f"Without {noun}: {text.amount(lacking, 'rows')}. What a log does not report is"
                " not counted as zero."
            )
    if numbers["impossible"]:
        yield (
            f"With impossible counters: {text.amount(numbers['impossible'], 'rows')}, whose bytes"
            " are not counted."
        )
    if lake.outside:
        yield (
            f"Without a time, or with an impossible one: {text.amount(lake.outside, 'rows')},"
            " which are not counted."
        )


def _title(receipt: dict[str, Any] | None, places: list[str]) -> str:
    if receipt is not None:
        return f"Flows of {text.clean(receipt['pipeline'])}"
    name = places[0].rstrip("/").rsplit("/", 1)[-1] if places else ""
    return f"Flows in {text.clean(name)}" if name not in {"", ".", ".."} else "Flows"
