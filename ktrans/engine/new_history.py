"""Checks that a pipeline unknown to its state store is new, and that no state was lost."""

from __future__ import annotations

from ktrans.api import AccessError, StateError
from ktrans.engine.assembly import Assembly
from ktrans.state.store import Store


def check_new_history(store: Store, assembly: Assembly) -> None:
    """Check that the sinks have no files of this pipeline, if the store does not know it.

    A sink that may be written but not listed counts as empty.

    Raises:
        StateError: they have some, so the pipeline ran before, and its state is elsewhere or lost.
    """
    pipeline = assembly.pipeline.name
    if store.history(pipeline):
        return
    for bound in assembly.all_sinks():
        try:
            found = next(iter(bound.sink.published()), None)
        except AccessError:
            continue
        if found is not None:
            raise StateError(
                f"{store.database.where} knows nothing of pipeline {pipeline!r}, but sink "
                f"{bound.entry.id} has files that it wrote before, such as {found}: everything would "
                "be read again, and its rows written beside those files",
                code="state_lost",
                hint="check `state` and `name` of the pipeline, or restore the state from a backup; "
                "`ktrans run --new-history` begins anew",
            )
