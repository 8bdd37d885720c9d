"""What a person reads after a run."""

from __future__ import annotations

import datetime as dt

import pytest

from ktrans.api import ExitCode, Receipt
from ktrans.engine.ledger import StageLedger, Tally
from ktrans.engine.receipt import RunReceipt, SinkOutput
from ktrans.observe.receipt_text import one_line, receipt_text
from ktrans.state.epochs import Epoch, Quarantine


@pytest.fixture
def receipt():
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    receipt = RunReceipt("demo", "abc", started=start, finished=start + dt.timedelta(seconds=2))
    receipt.epochs, receipt.splits, receipt.input_bytes = 1, 3, 1_234_567
    ledger = receipt.ledger
    ledger.records, ledger.skipped = 41_230, 18
    ledger.rejected = {"bad_number": 10, "too_few_fields": 2}
    ledger.decoded = Tally(41_200)
    ledger.stages = [
        StageLedger("enrichers[0] filter", "enricher", Tally(41_200), Tally(30_100), Tally(11_100)),
        StageLedger("lake", "sink", Tally(30_100), Tally(30_000), Tally(100)),
        StageLedger("rejects", "rejects", Tally(12), Tally(12)),
    ]
    outputs = [f"/lake/date=2026-01-0{n}/a.parquet" for n in (1, 2)]
    receipt.sinks = [SinkOutput("lake", "file", "exactly_once", 30_000, 2_300_000, outputs, 2)]
    receipt.rejects = SinkOutput("rejects", "file", "exactly_once", 12, 1300, ["/r/x.jsonl"], 1)
    return receipt


def test_a_good_run(receipt):
    assert (
        receipt_text(receipt, "p.yaml") + "\n"
        == """\
demo: done in 2.0 s, 20.6 k rows/s

  in         3 files, 1.23 MB, 41,230 records
  decoded    41,200 rows, 18 skipped (headers, blank lines), 12 rejected
                  10  bad_number
                   2  too_few_fields
  filter     11,100 filtered, 30,100 kept (enrichers[0] filter)
  -> lake    30,000 rows, 100 filtered by `where`, 2.3 MB, 2 outputs,
             exactly once
             /lake/, for example date=2026-01-01/a.parquet
  -> rejects 12 rows, 1.3 kB, 1 output, exactly once
             /r/x.jsonl
  sums       agree: 41,230 records = 41,200 rows + 12 rejects + 18 skipped

  next       ktrans rejects list p.yaml
"""
    )


def test_rejects_in_a_bucket_are_not_for_a_verb_that_reads_files(receipt):
    receipt.rejects = SinkOutput("rejects", "s3", "exactly_once", 12, 1300, ["s3://r/x.jsonl"], 1)
    text = receipt_text(receipt, "p.yaml")
    assert "s3://r/x.jsonl" in text
    assert "rejects list" not in text


def test_records_of_other_kinds_and_unreadable_values_are_named(receipt):
    receipt.ledger.add_foreign({"event_type alert": 5, "event_type tls": 2})
    receipt.ledger.unread = {"protocol": 3, "tcp_flags": 1}
    text = " ".join(receipt_text(receipt, "p.yaml").split())
    assert "11 skipped (headers, blank lines), 7 of other kinds skipped, 12 rejected" in text
    assert " 5 event_type alert 2 event_type tls " in text
    assert "values that could not be read: 3 protocol, 1 tcp_flags;" in text


def test_the_kinds_of_other_records_are_limited(receipt):
    for number in range(100):
        receipt.ledger.add_foreign({f"kind {number}": 1})
    assert len(receipt.ledger.foreign) == 31
    assert receipt.ledger.foreign["other records"] == 70


def test_what_needs_a_look_is_named(receipt):
    receipt.exit_code = ExitCode.DATA
    receipt.ledger.skipdata = 3
    receipt.quarantined = [
        Quarantine("a", "file:///logs/a.gz", "rejected", "unreadable", "not gzip"),
        Quarantine("b", "file:///logs/b.gz", "waiting", "access", "permission denied"),
    ]
    receipt.torn = ["file:///logs/c.gz"]
    receipt.notes = ["3 files are not settled yet"]
    text = receipt_text(receipt, "p.yaml")
    assert text.startswith("demo: done, with problems in 2.0 s")
    assert "  ! 3 rows of log status SKIPDATA" in text
    assert "  ! file:///logs/a.gz: cannot be read: not gzip (unreadable)" in text
    assert "file:///logs/b.gz: not read, tried again in the next run: permission denied" in text
    assert "  ! ends in the middle of a record; the complete records were read:" in text
    assert "  - 3 files are not settled yet" in text
    assert "ktrans state show p.yaml" in text


def test_many_of_a_kind_are_counted(receipt):
    receipt.torn = [f"file:///{n}" for n in range(9)]
    receipt.ledger.rejected = {f"reason_{n}": 20 - n for n in range(15)}
    text = receipt_text(receipt, "p.yaml")
    assert "and 4 more that end in the middle" in text
    assert "3 other reasons" in text
    assert "reason_13" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(receipt, width):
    receipt.sinks[0].outputs = ["/very/long/" + "x" * 200 + "/a.parquet"]
    receipt.notes = ["word " * 60]
    text = receipt_text(receipt, "p.yaml", width=width)
    assert max(map(len, text.splitlines())) <= width


def test_colours_change_nothing_but_colours(receipt):
    from click import unstyle

    coloured = receipt_text(receipt, "p.yaml", colour=True)
    assert "\x1b[" in coloured
    assert unstyle(coloured) == receipt_text(receipt, "p.yaml")


@pytest.mark.parametrize("lost", ["records", "enricher", "sink"])
def test_a_wrong_sum_is_reported(receipt, lost):
    assert receipt.ledger.rows_agree()
    if lost == "records":
        receipt.ledger.records += 1
    else:
        receipt.ledger.stages[lost == "sink"].went_out.rows -= 1
    assert not receipt.ledger.rows_agree()
    assert "do not agree" in receipt_text(receipt, "p.yaml")


def test_outcomes_have_their_words(receipt):
    for outcome, words in [("failed", "failed"), ("stopped", "stopped"), ("skipped", "skipped")]:
        receipt.outcome = outcome
        assert receipt_text(receipt, "p.yaml").startswith(f"demo: {words} in ")
    empty = RunReceipt("demo", "x", outcome="nothing_to_do")
    assert "nothing new" in receipt_text(empty, "p.yaml")


def test_one_line_for_logs(receipt):
    assert one_line(receipt) == (
        "demo: done in 2.0 s: 3 files, 41,200 rows in, 30,000 written, 12 rejects, exit code 0"
    )


def test_what_was_recognized_is_counted(receipt):
    receipt.choices = {"a": "aws_vpc: a header", "b": "aws_vpc: a header", "c": "aws_tgw: why"}
    text = receipt_text(receipt, "p.yaml")
    assert "recognized as aws_vpc (2), aws_tgw (1)\n" in text
    receipt.choices["..."] = "7 more objects"
    assert "aws_tgw (1), 7 more objects" in receipt_text(receipt, "p.yaml")


def test_a_topic_of_several_tasks_is_one_output(receipt):
    epoch = Epoch(1, [], receipts={"lake": [Receipt(5, outputs=("kafka://host:9092/flows",))] * 8})
    receipt.sinks = [SinkOutput("lake", "kafka", "exactly_once")]
    for _ in range(2):
        receipt.sinks[0].add_epoch(epoch)
    assert (receipt.sinks[0].rows, receipt.sinks[0].count) == (80, 1)
    text = receipt_text(receipt, "p.yaml")
    assert "80 rows, 100 filtered by `where`, 1 output, exactly once" in text
    assert "kafka://host:9092/flows" in text
