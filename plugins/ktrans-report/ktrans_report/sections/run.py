"""The run that wrote the rows: its outcome, its ledger, its rejects."""

from __future__ import annotations

from typing import Any

from ktrans_report import text
from ktrans_report.model import Figure, Section, Table
from ktrans_report.sections.common import ranking

_OUTCOMES = {
    "done": "is done",
    "nothing_to_do": "found nothing to do",
    "stopped": "was stopped as asked",
    "skipped": "was skipped, since another one was under way",
    "failed": "failed",
}


def section(receipt: dict[str, Any], top: int) -> Section:
    """Show what a receipt says."""
    made = Section("run", "The run that wrote this", data={"receipt": receipt})
    ledger = receipt["ledger"]
    made.figures.append(_ledger(receipt, ledger))
    reasons = [
        {"name": f"{reason} ({what})", "n": count}
        for what, counts in (("rejected", ledger["rejected"]), ("refused", ledger["refused"]))
        for reason, count in counts.items()
    ]
    if reasons:
        reasons.sort(key=lambda row: (-int(str(row["n"])), str(row["name"])))
        total = sum(int(str(row["n"])) for row in reasons)
        made.figures.append(
            ranking(
                "run-rejects",
                "Records that could not become rows",
                f"{text.share(total, ledger['records'])} of"
                f" {text.amount(ledger['records'], 'records')} were rejected.",
                reasons[:top],
                [("n", "Records")],
                "records",
                first="Reason",
                about="`ktrans rejects list` shows one of each; `ktrans explain REASON` says what"
                " to do.",
                colours=("var(--c2)",),
            )
        )
    unread = [
        [text.clean(one["uri"]), text.clean(one["kind"]), text.clean(one["reason"])]
        for one in receipt.get("quarantined", [])
    ] + [[text.clean(uri), "torn", "it ends in the middle"] for uri in receipt.get("torn", [])]
    if unread:
        made.figures.append(
            Figure(
                "run-unread",
                "Objects that could not be read",
                f"{text.amount_of(len(unread), 'object')} could not be read to the end; their rows"
                " are not in these numbers.",
                Table([("Object", "text"), ("What", "text"), ("Why", "text")], unread[:100]),
            )
        )
    return made


def headline(receipt: dict[str, Any]) -> str:
    """Write how the run ended."""
    ended = _OUTCOMES.get(receipt["outcome"], receipt["outcome"])
    sentence = f"The run of {text.clean(receipt['pipeline'])} {text.clean(ended)}"
    error = receipt.get("error")
    if error:
        sentence += f": {text.clean(error.get('message', ''), 300)}"
    return sentence.rstrip(".") + "."


def _ledger(receipt: dict[str, Any], ledger: dict[str, Any]) -> Figure:
    rows = [
        [
            "decoder",
            text.number(ledger["records"]),
            text.number(ledger["decoded"]["rows"]),
            text.number(ledger["skipped"]),
            text.number(sum(ledger["rejected"].values())),
            text.amount(ledger["decoded"]["bytes"], "bytes"),
        ]
    ]
    for stage in ledger["stages"]:
        if stage["kind"] == "rejects":
            continue
        rows.append(
            [
                text.clean(stage["name"]),
                text.number(stage["in"]["rows"]),
                text.number(stage["out"]["rows"]),
                text.number(stage["filtered"]["rows"]),
                text.number(stage["refused"]["rows"]),
                text.amount(stage["out"]["bytes"], "bytes"),
            ]
        )
    started = str(receipt["started"]).replace("T", " ")[:16]
    return Figure(
        "run-ledger",
        "The ledger",
        f"{headline(receipt)} It began {started} UTC, took"
        f" {text.amount_of(round(receipt['seconds'], 1), 'second')} and read"
        f" {text.amount_of(receipt['splits'], 'object')} with"
        f" {text.amount(ledger['records'], 'records')}.",
        Table(
            [
                ("Stage", "text"),
                ("In", "number"),
                ("Out", "number"),
                ("Filtered", "number"),
                ("Rejected", "number"),
                ("Bytes of flows out", "number"),
            ],
            rows,
        ),
        about="At every stage, rows in are rows out, filtered and rejected rows together. A rollup"
        " makes fewer rows with the same sums.",
    )
