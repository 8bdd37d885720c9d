"""The run that wrote the rows: its outcome, its ledger, its rejects."""

from __future__ import annotations

from typing import Any

from ktrans_report import text
from ktrans_report.model import Figure, Section
from ktrans_report.sections.common import bars, table

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
    reasons: list[dict[str, Any]] = [
        {"name": f"{reason} ({what})", "n": count}
        for what in ("rejected", "refused")
        for reason, count in ledger[what].items()
    ]
    if reasons:
        reasons.sort(key=lambda row: (-row["n"], row["name"]))
        total = sum(row["n"] for row in reasons)
        made.figures.append(
            bars(
                "run-rejects",
                "Records that could not become rows",
                f"{text.share(total, ledger['records'])} of"
                f" {text.amount(ledger['records'], 'records')} were rejected.",
                reasons[:top],
                "records",
                series=[("n", "Records")],
                more=(),
                first="Reason",
                about="`ktrans rejects list` shows one of each; `ktrans explain REASON` says what"
                " to do.",
                colours=("var(--c2)",),
            )
        )
    unread = [
        *receipt.get("quarantined", []),
        *(
            {"uri": uri, "kind": "torn", "reason": "it ends in the middle"}
            for uri in receipt.get("torn", [])
        ),
    ]
    if unread:
        made.figures.append(
            Figure(
                "run-unread",
                "Objects that could not be read",
                f"{text.amount_of(len(unread), 'object')} could not be read to the end; their rows"
                " are not in these numbers.",
                table(
                    unread[:100],
                    [("uri", "Object", ""), ("kind", "What", ""), ("reason", "Why", "")],
                ),
            )
        )
    return made


def _headline(receipt: dict[str, Any]) -> str:
    """Write how the run ended."""
    ended = _OUTCOMES.get(receipt["outcome"], receipt["outcome"])
    sentence = f"The run of {text.clean(receipt['pipeline'])} {text.clean(ended)}"
    error = receipt.get("error")
    if error:
        sentence += f": {text.clean(error.get('message', ''), 300)}"
    return sentence.rstrip(".") + "."


def _ledger(receipt: dict[str, Any], ledger: dict[str, Any]) -> Figure:
    decoder = {
        "stage": "decoder",
        "in": ledger["records"],
        "out": ledger["decoded"]["rows"],
        "filtered": ledger["skipped"],
        "refused": sum(ledger["rejected"].values()),
        "bytes": ledger["decoded"]["bytes"],
    }
    stages = [
        {"stage": stage["name"], "bytes": stage["out"]["bytes"]}
        | {key: stage[key]["rows"] for key in ("in", "out", "filtered", "refused")}
        for stage in ledger["stages"]
        if stage["kind"] != "rejects"
    ]
    started = str(receipt["started"]).replace("T", " ")[:16]
    return Figure(
        "run-ledger",
        "The ledger",
        f"{_headline(receipt)} It began {started} UTC, took"
        f" {text.amount_of(round(receipt['seconds'], 1), 'second')} and read"
        f" {text.amount_of(receipt['splits'], 'object')} with"
        f" {text.amount(ledger['records'], 'records')}.",
        table(
            [decoder, *stages],
            [
                ("stage", "Stage", ""),
                ("in", "In", "count"),
                ("out", "Out", "count"),
                ("filtered", "Filtered", "count"),
                ("refused", "Rejected", "count"),
                ("bytes", "Bytes of flows out", "bytes"),
            ],
        ),
        about="At every stage, rows in are rows out, filtered and rejected rows together. A rollup"
        " makes fewer rows with the same sums.",
    )
