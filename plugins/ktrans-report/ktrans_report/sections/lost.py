"""Records that the cloud says it lost: rows of status SKIPDATA; and rows of status NODATA."""

from __future__ import annotations

from ktrans_report import text
from ktrans_report.lake import Lake
from ktrans_report.model import Figure, Section, Table


def figure(lake: Lake, made: Section) -> Figure:
    """Count rows by status and account."""
    rows = lake.ask(
        "SELECT coalesce(account_id, 'no account') AS account,"
        " count(*) FILTER (state = 'skipdata') AS skipdata,"
        " count(*) FILTER (state = 'nodata') AS nodata, count(*) AS rows,"
        " count(DISTINCT interface_id) FILTER (state = 'skipdata') AS interfaces"
        " FROM flows GROUP BY 1 ORDER BY skipdata DESC, account LIMIT 50"
    )
    made.data["log_status"] = rows
    lost = sum(row["skipdata"] for row in rows)
    quiet = sum(row["nodata"] for row in rows)
    if not lake.has("log_status"):
        sentence = (
            "Whether the cloud lost records is not known: no row has a value in `log_status`."
        )
    elif lost:
        sentence = (
            f"{text.amount(lost, 'rows')} of status SKIPDATA: the cloud lost records, so there"
            " was more traffic in these windows than is counted."
        )
    else:
        sentence = "No row says that the cloud lost records (SKIPDATA)."
    sentence += f" {text.amount(quiet, 'rows')} of status NODATA." if quiet else ""
    cells = [
        [
            text.clean(row["account"]),
            *(text.number(row[key]) for key in ("rows", "nodata", "skipdata", "interfaces")),
        ]
        for row in rows
    ]
    return Figure(
        "coverage-lost",
        "Records that the cloud lost",
        sentence,
        Table(
            [
                ("Account", "text"),
                ("Rows", "number"),
                ("NODATA", "number"),
                ("SKIPDATA", "number"),
                ("Interfaces with SKIPDATA", "number"),
            ],
            cells,
        ),
    )
