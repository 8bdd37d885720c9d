"""Formats the receipt of a run for people.

It shows the outcome, the input and output, what needs attention, and commands to run next. It fits
into 80 columns; colours are optional.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path

from click import style, unstyle

from ktrans.engine.epoch_limits import quarantine_note
from ktrans.engine.ledger import StageLedger
from ktrans.engine.receipt import RunReceipt, SinkOutput
from ktrans.kit.cli import printable
from ktrans.observe import human

WIDTH = 80
LABELS = (10, 24)
"""The smallest and the largest width of the label column."""
SPEED_ROWS = 10_000
"""The speed is only shown for this many rows or more."""

SHORTEST = 20
"""The shortest length to which an example of a path is cut."""

NO_BREAK = "\u00a0"

TORN = "ends in the middle of a record; the complete records were read"

SHOWN = 5
REASONS = 12
"""The number of items of a kind that are listed before "and N more"."""

_HEADS = {
    "done": ("done", "green"),
    "nothing_to_do": ("nothing to do", "green"),
    "stopped": ("stopped", "yellow"),
    "skipped": ("skipped", "yellow"),
    "failed": ("failed", "red"),
}


def receipt_text(
    receipt: RunReceipt, config: str, *, width: int = WIDTH, colour: bool = False
) -> str:
    """Return a receipt as text.

    `config` is the pipeline file as the user named it, for the proposed commands.
    """
    writer = _Writer(receipt, config, max(width, 60))
    text = "\n".join(writer.lines())
    return text if colour else unstyle(text)


def one_line(receipt: RunReceipt) -> str:
    """Return a receipt as one line, for logs."""
    out = sum(sink.rows for sink in receipt.sinks)
    written = f"{human.count(out)} written"
    if receipt.dry_run:
        sinks = {sink.id for sink in receipt.sinks}
        out = sum(stage.went_out.rows for stage in receipt.ledger.stages if stage.name in sinks)
        written = f"{human.count(out)} would be written (dry run)"
    rules = ""
    if receipt.broken:
        rules = f"{human.count(len(receipt.broken), 'rule')} of {len(receipt.expect)} broken, "
    return (
        f"{receipt.pipeline}: {_HEADS[receipt.outcome][0]} in {human.duration(receipt.seconds)}: "
        f"{human.count(receipt.splits, 'file')}, "
        f"{human.count(receipt.ledger.decoded.rows, 'row')} in, {written}, "
        f"{human.count(receipt.ledger.rejects, 'reject')}, {rules}exit code {int(receipt.exit_code)}"
    )


class _Writer:
    def __init__(self, receipt: RunReceipt, config: str, width: int) -> None:
        self.receipt = receipt
        self.config = config
        self.width = width
        self.ledger = receipt.ledger
        wanted = max((len(f"-> {sink.id}") for sink in receipt.sinks), default=0)
        self.label = min(max(wanted, LABELS[0]), LABELS[1])

    def lines(self) -> Iterator[str]:
        yield self._head()
        if self.receipt.epochs or self.ledger.records:
            yield ""
            yield from self._came_in()
            yield from self._enrichers()
            yield from self._went_out()
            yield from self._sums()
            yield from self._expect()
        broken = (f"rule broken: {result}" for result in self.receipt.broken)
        attention = [line for text in broken for line in self._warn(text)]
        attention += self._attention()
        if attention:
            yield ""
            yield from attention
        where_next = list(self._next())
        if where_next:
            yield ""
            yield from where_next

    # -- parts --------------------------------------------------------------------------------

    def _head(self) -> str:
        receipt = self.receipt
        text, colour = _HEADS[receipt.outcome]
        if receipt.outcome == "done" and receipt.exit_code:
            text, colour = "done, with problems", "yellow"
        facts = [f"in {human.duration(receipt.seconds)}"]
        if receipt.dry_run:
            facts.append("dry run: nothing was written")
        if receipt.resumed:
            facts.append("finished the epoch of an earlier run")
        speed = human.rate(self.ledger.decoded.rows, receipt.seconds)
        if self.ledger.decoded.rows >= SPEED_ROWS and speed:
            facts.append(f"{speed} rows/s")
        return f"{style(receipt.pipeline, bold=True)}: {style(text, fg=colour)} {', '.join(facts)}"

    def _came_in(self) -> Iterator[str]:
        ledger = self.ledger
        parts = [human.count(self.receipt.splits, "file")]
        if self.receipt.input_bytes:
            parts.append(human.size(self.receipt.input_bytes))
        parts.append(human.count(ledger.records, "record"))
        yield self._line("in", ", ".join(parts))
        parts = [human.count(ledger.decoded.rows, "row")]
        foreign = sum(ledger.foreign.values())
        if ledger.skipped > foreign:
            parts.append(f"{human.count(ledger.skipped - foreign)} skipped (headers, blank lines)")
        if foreign:
            parts.append(f"{human.count(foreign)} of other kinds skipped")
        if ledger.rejects:
            parts.append(style(f"{human.count(ledger.rejects)} rejected", fg="yellow"))
        yield self._line("decoded", ", ".join(parts))
        choices = dict(self.receipt.choices)
        more = choices.pop("...", None)  # the number of those that the decoder does not list
        chosen = Counter(why.partition(":")[0] for why in choices.values())
        if chosen:
            text = ", ".join(f"{name} ({human.count(n)})" for name, n in chosen.most_common())
            yield self._line("", f"recognized as {text}{f', {more}' if more else ''}")
        yield from self._counts(ledger.foreign, "kinds")
        yield from self._counts(ledger.rejected, "reasons")

    def _counts(self, counts: Mapping[str, int], what: str) -> Iterator[str]:
        """Yield a line for each of the largest counts, and one for the others."""
        largest = sorted(counts.items(), key=lambda item: -item[1])
        listed = len(largest) if len(largest) <= REASONS + 1 else REASONS
        for name, number in largest[:listed]:
            yield self._line("", f"{number:>7,}  {name}")
        if len(largest) > listed:
            rest = sum(number for _, number in largest[listed:])
            yield self._line("", f"{rest:>7,}  {len(largest) - listed} other {what}")

    def _enrichers(self) -> Iterator[str]:
        for stage in self.ledger.stages:
            if stage.sums_up:
                yield from self._totals(stage)
            elif stage.kind == "enricher" and stage.filtered.rows:
                text = f"{human.count(stage.filtered.rows)} filtered, "
                text += f"{human.count(stage.went_out.rows)} kept"
                yield self._line(stage.name.split(" ", 1)[-1], f"{text} ({stage.name})")

    def _totals(self, stage: StageLedger) -> Iterator[str]:
        parts = [f"{human.count(stage.came_in.rows, 'row')} into totals"]
        if stage.held.rows > 0:
            parts.append(f"{human.count(stage.held.rows)} of them in windows still open")
        elif stage.held.rows < 0:
            parts.append(f"{human.count(-stage.held.rows)} of earlier ones in windows now closed")
        if stage.late:
            parts.append(f"{human.count(stage.late)} came late")
        if stage.filtered.rows:
            parts.append(f"{human.count(stage.filtered.rows)} are no flows")
        if stage.refused.rows:
            parts.append(f"{human.count(stage.refused.rows)} are in the rejects")
        parts.append(f"{human.count(stage.went_out.rows, 'total')} out ({stage.name})")
        yield self._line(stage.name.split(" ", 1)[-1], ", ".join(parts))

    def _went_out(self) -> Iterator[str]:
        stages = {stage.name: stage for stage in self.ledger.stages}
        for sink in self.receipt.sinks:
            yield from self._sink(sink, stages.get(sink.id))
        for sink in self.receipt.violations:
            if sink.rows and not self.receipt.dry_run:
                yield from self._sink(sink, None)
        if self.receipt.rejects and self.receipt.rejects.rows and not self.receipt.dry_run:
            yield from self._sink(self.receipt.rejects, None)

    def _sink(self, sink: SinkOutput, stage: StageLedger | None) -> Iterator[str]:
        parts = [human.count(sink.rows, "row")]
        if self.receipt.dry_run and stage is not None:
            parts = [f"{human.count(stage.went_out.rows, 'row')} would go there"]
        if stage is not None and stage.filtered.rows:
            parts.append(f"{human.count(stage.filtered.rows)} filtered by `where`")
        if stage is not None and stage.refused.rows:
            parts.append(f"{human.count(stage.refused.rows)} refused by the other side")
        if sink.bytes:
            parts.append(human.size(sink.bytes))
        if sink.count:
            parts.append(human.count(sink.count, "output"))
        parts.append(sink.delivery.replace("_", NO_BREAK))
        yield self._line(f"-> {sink.id}", ", ".join(parts))
        if stage is not None and stage.refused.rows:
            yield self._line("", f"refused rows are in the rejects, decoder sink:{sink.id}")
        if sink.outputs:
            yield self._line("", self._place(sink.outputs))

    def _sums(self) -> Iterator[str]:
        ledger = self.ledger
        if not ledger.rows_agree():
            yield self._line("sums", style("do not agree: rows were lost or added", fg="red"))
            return
        parts = [human.count(ledger.decoded.rows, "row")]
        if ledger.rejects:
            parts.append(human.count(ledger.rejects, "reject"))
        if ledger.skipped:
            parts.append(f"{human.count(ledger.skipped)} skipped")
        sums = f"{human.count(ledger.records, 'record')} = {' + '.join(parts)}"
        yield self._line("sums", f"{style('agree', fg='green')}: {sums}")

    def _expect(self) -> Iterator[str]:
        rules, broken = len(self.receipt.expect), len(self.receipt.broken)
        if broken:
            text = f"{human.count(broken)} of {human.count(rules, 'rule')} broken"
            yield self._line("expect", style(text, fg="red"))
        elif rules:
            yield self._line("expect", f"{style('kept', fg='green')}: {human.count(rules, 'rule')}")

    def _attention(self) -> Iterator[str]:
        receipt, ledger = self.receipt, self.ledger
        if ledger.skipdata:
            yield from self._warn(
                f"{human.count(ledger.skipdata, 'row')} of log status SKIPDATA: the cloud itself "
                "lost flow records there"
            )
        for name in receipt.kept_nothing:
            yield from self._warn(f"{name} kept none of its rows: check its condition")
        if ledger.unread:
            columns = ", ".join(f"{human.count(n)} {name}" for name, n in ledger.unread.items())
            yield from self._warn(
                f"values that could not be read: {columns}; they are null, and kept in attrs"
            )
        yield from self._quarantined()
        yield from self._strange()
        for uri in receipt.torn[:SHOWN]:
            yield from self._warn(f"{TORN}: {uri}")
        if len(receipt.torn) > SHOWN:
            yield from self._warn(
                f"and {len(receipt.torn) - SHOWN} more that end in the middle of a record"
            )
        for text in receipt.left:
            yield from self._warn(f"left for a later run: {text}")
        if receipt.retries:
            yield from self._note(f"{human.count(receipt.retries, 'attempt')} had to be repeated")
        shown = {quarantine_note(item.uri, item.reason) for item in receipt.quarantined}
        for note in receipt.notes:
            if note not in shown:
                yield from self._note(note)

    def _strange(self) -> Iterator[str]:
        strange = self.receipt.strange
        for uri, looks in list(strange.items())[:SHOWN]:
            yield from self._warn(f"nothing of this object could be read: {uri}: {looks}")
        if len(strange) > SHOWN:
            yield from self._warn(f"and {len(strange) - SHOWN} more of which nothing could be read")

    def _quarantined(self) -> Iterator[str]:
        again = {"waiting": "not read, tried again in the next run", "rejected": "cannot be read"}
        items = self.receipt.quarantined
        for item in items[:SHOWN]:
            what = again.get(item.kind, item.kind)
            reason = item.reason.removeprefix(f"{item.uri}: ")
            yield from self._warn(f"{item.uri}: {what}: {reason} ({item.code})")
        if len(items) > SHOWN:
            yield from self._warn(
                f"and {human.count(len(items) - SHOWN, 'more object')} quarantined"
            )

    def _next(self) -> Iterator[str]:
        receipt, config = self.receipt, self.config
        rejects = receipt.rejects
        if rejects and rejects.rows and rejects.is_files and not receipt.dry_run:
            yield self._line("next", f"ktrans rejects list {config}")
        if receipt.quarantined:
            yield self._line("next", f"ktrans state show {config}")
        if receipt.outcome == "nothing_to_do" and not receipt.error and not receipt.left:
            yield self._line("next", f"nothing new; ktrans state show {config} shows what was read")
        if receipt.dry_run and not receipt.error:
            yield self._line("next", f"ktrans run {config}")

    # -- lines --------------------------------------------------------------------------------

    def _line(self, label: str, text: str) -> str:
        room = self.width - self.label - 3
        first, rest = text, list[str]()
        if len(unstyle(text)) > room:
            first, *rest = textwrap.wrap(unstyle(text), room, break_long_words=False)
        blank = " " * self.label
        shown = style(label.ljust(self.label), dim=True) if label else blank
        lines = [f"  {shown} {first}", *(f"  {blank} {line}" for line in rest)]
        return "\n".join(line.rstrip().replace(NO_BREAK, " ") for line in lines)

    def _warn(self, text: str) -> Iterator[str]:
        yield from self._marked(style("!", fg="yellow", bold=True), text)

    def _note(self, text: str) -> Iterator[str]:
        yield from self._marked("-", text)

    def _marked(self, mark: str, text: str) -> Iterator[str]:
        lines = textwrap.wrap(
            printable(text), self.width - 4, break_long_words=False, break_on_hyphens=False
        ) or [""]
        yield f"  {mark} {lines[0]}"
        yield from (f"    {line}" for line in lines[1:])

    def _place(self, outputs: list[str]) -> str:
        """Return where outputs are: the only one, or their common folder and an example."""
        room = self.width - self.label - 3
        if len(outputs) == 1:
            return _cut(_near(outputs[0]), room)
        folders = [output.rpartition("/")[0].split("/") for output in outputs]
        same = takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
        folder = "".join(f"{names[0]}/" for names in same)
        begin = f"{_near(folder)}, for example " if folder else "for example "
        left = room - len(begin)
        rest = outputs[0].removeprefix(folder)
        return begin + _cut(rest, left) if left >= SHORTEST else _cut(_near(outputs[0]), room)


def _cut(text: str, room: int) -> str:
    """Shorten a path at its start."""
    return text if len(text) <= room else f"...{text[len(text) - room + 3 :]}"


def _near(path: str) -> str:
    """Return a path relative to the working folder if it is below it."""
    here, path = f"{Path.cwd()}/", printable(path)
    return path.removeprefix("file://").removeprefix(here) or "./"
