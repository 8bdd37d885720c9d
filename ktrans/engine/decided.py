"""Guards epochs that were decided: a part of them may be published, so nothing may come out otherwise.

A decided epoch is committed as it was staged. If what was staged is gone, it is processed again, and
this has to write the same rows to the same places. Otherwise what is published already would stay
beside the new output, or be replaced by something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ktrans.api import Receipt, StateError
from ktrans.engine.assembly import Assembly
from ktrans.engine.task_groups import source_fingerprint
from ktrans.state.epochs import Epoch

_ONE_RUN = "put it back for one run, which completes the epoch; change it after that"
_GIVE_UP = (
    "or give the epoch up with `ktrans state reset`: everything is read again, and what is published "
    "stays beside it"
)


def same_source(epoch: Epoch, assembly: Assembly) -> bool:
    """Return whether the pipeline still has the source that planned the epoch."""
    return epoch.replay or epoch.source == source_fingerprint(assembly.pipeline)


def may_be_published(epoch: Epoch, assembly: Assembly) -> bool:
    """Return whether sinks that deliver exactly once may have published rows of a decided epoch."""
    again = {bound.entry.id for bound in assembly.all_sinks() if bound.delivery == "at_least_once"}
    staged = {sink for sink, receipts in epoch.receipts.items() if any(r.rows for r in receipts)}
    return bool(staged - again)


def check_unchanged(epoch: Epoch, assembly: Assembly) -> None:
    """Check that a decided epoch may be processed again.

    Raises:
        StateError: the pipeline file is not the one that decided it.
    """
    if not may_be_published(epoch, assembly):
        return
    lost = (
        f"some of epoch {epoch.number} may be published already, and the rest of what was staged "
        "is gone"
    )
    if not same_source(epoch, assembly):
        raise StateError(
            f"{lost}; it cannot be processed again, because its source was replaced since then",
            code="source_changed",
            hint=f"if the source was changed, {_ONE_RUN}; {_GIVE_UP}",
        )
    if epoch.fingerprint != assembly.pipeline.fingerprint:
        raise StateError(
            f"{lost}; it cannot be processed again, because the decoder, the enrichers, the sinks, "
            "the rejects or the limits of the pipeline file were changed since then",
            code="pipeline_changed",
            hint=f"if the pipeline file was changed, {_ONE_RUN}; {_GIVE_UP}",
        )


def check_repeated(
    epoch: Epoch, before: Mapping[str, Sequence[Receipt]], assembly: Assembly
) -> None:
    """Check that a decided epoch, processed again, has staged the same as the first time.

    Raises:
        StateError: another number of rows, or other files.
    """
    for bound in assembly.all_sinks():
        sink = bound.entry.id
        first, now = before.get(sink, ()), epoch.receipts[sink]
        if bound.delivery == "at_least_once" or _summary(first) == _summary(now):
            continue
        raise StateError(
            f"some of epoch {epoch.number} may be published already, and it was processed again "
            f"with another result: {_say(first)} of sink {sink} before, {_say(now)} now",
            code="pipeline_changed",
            hint="a table, a variable, a limit or the version of ktrans has changed since then: "
            f"{_ONE_RUN}; {_GIVE_UP}",
        )


def check_sinks(epoch: Epoch, types: Mapping[str, str]) -> None:
    """Check that every sink that has staged output is still there, with its type.

    Raises:
        StateError: one is not.
    """
    missing = set(epoch.receipts) - set(types)
    if missing:
        raise StateError(
            f"epoch {epoch.number} was staged for sinks that the pipeline no longer has: "
            f"{', '.join(sorted(missing))}",
            code="sink_removed",
            hint="put them back for one run, so that all of the epoch can be published",
        )
    for sink, staged in epoch.extra["types"].items():
        if types[sink] != staged:
            raise StateError(
                f"epoch {epoch.number} was staged for a sink {sink} of type {staged}, which is "
                f"of type {types[sink]} now",
                code="sink_changed",
                hint="change it back for one run, so that the epoch can be published",
            )


def _summary(receipts: Sequence[Receipt]) -> list[tuple[int, tuple[str, ...]]]:
    return [(receipt.rows, tuple(sorted(receipt.outputs))) for receipt in receipts]


def _say(receipts: Sequence[Receipt]) -> str:
    rows = sum(receipt.rows for receipt in receipts)
    return f"{rows:,} rows in {sum(len(receipt.outputs) for receipt in receipts):,} outputs"
