"""Adding recorded epochs to the receipt of their run."""

from __future__ import annotations

from typing import Any

from ktrans.api import ExitCode
from ktrans.engine.assemble import BoundSink
from ktrans.engine.ledger import Ledger
from ktrans.engine.receipt import QuarantinedSplit, RunReceipt, SinkOutput
from ktrans.state.epochs import Epoch

LISTED_OUTPUTS = 1000


def account(receipt: RunReceipt, epoch: Epoch, ledger: Ledger, summary: dict[str, Any]) -> None:
    """Add one epoch: counts, outputs, what was set aside, and the exit code that follows."""
    receipt.epochs += 1
    receipt.splits += summary["splits"]
    receipt.input_bytes += summary["input_bytes"]
    receipt.ledger.add(ledger)
    for output in [*receipt.sinks, receipt.rejects]:
        if output is not None:
            _add_output(output, epoch)
    again = set(epoch.quarantined)
    receipt.quarantined = [item for item in receipt.quarantined if item.key not in again]
    receipt.quarantined += [
        QuarantinedSplit(e.uri, e.kind, e.code, e.reason, e.key) for e in epoch.quarantined.values()
    ]
    receipt.torn += [uri for uri in summary["torn"] if uri not in receipt.torn]
    if summary["access"]:
        receipt.exit_code = ExitCode.ACCESS
    elif epoch.quarantined and receipt.exit_code == ExitCode.OK:
        receipt.exit_code = ExitCode.DATA


def output_of(bound: BoundSink) -> SinkOutput:
    """Give the empty account of a sink."""
    return SinkOutput(bound.entry.id, bound.entry.config.type, bound.delivery)


def _add_output(output: SinkOutput, epoch: Epoch) -> None:
    for receipt in epoch.receipts.get(output.id, []):
        output.rows += receipt.rows
        output.bytes += receipt.bytes
        output.count += len(receipt.outputs)
        room = LISTED_OUTPUTS - len(output.outputs)
        output.outputs.extend(receipt.outputs[:room])
