"""The workers of a run in other processes: when they are wanted, and what they need for jobs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ktrans.api import Executor, RunError
from ktrans.config.settings import AUTO
from ktrans.engine.assembly import Assembly
from ktrans.engine.executor_choice import THREADS, Tasks, choose_executor
from ktrans.registry.catalogue import Catalogue
from ktrans.state.epochs import Epoch

if TYPE_CHECKING:
    from ktrans.engine.job import Definition


class TaskWorkers:
    """Workers beside this process; they begin with the first epoch that needs them.

    Args:
        assembly: the pipeline that they work for, with its executor.
        catalogue: the installed components.
        workers: how many tasks may run at once.
        run_id: the run.
        prepare: see `RunOptions.prepare_worker`.

    `choices` has what `auto` chose for which object.
    """

    def __init__(
        self,
        assembly: Assembly,
        catalogue: Catalogue,
        *,
        workers: int,
        run_id: str,
        prepare: Mapping[str, Any],
    ) -> None:
        self.run_id = run_id
        self.prepare = dict(prepare)
        self._assembly = assembly
        self._catalogue = catalogue
        self._workers = workers
        self._opened = False
        self._given_up = False
        self.choices: dict[str, str] = {}

    @property
    def remote(self) -> bool:
        """Whether they are on other machines."""
        return self._assembly.executor.remote

    def wanted_for(self, epoch: Epoch) -> bool:
        """Return whether they should do the tasks of an epoch, rather than threads of this process."""
        if self._given_up:
            return False
        pipeline = self._assembly.pipeline
        tasks = Tasks.of(epoch.tasks, pipeline.engine.task_size, warm=self._opened)
        choice = choose_executor(self._assembly, self._workers, tasks)
        return choice.executor != THREADS

    def given_up_for(self, error: RunError) -> bool:
        """Return whether this run goes on without them: they differ, and the user did not name them.

        This happens if a table changes while a run with `--follow` keeps the one that it has read.
        """
        if error.code == "worker_differs" and self._assembly.pipeline.engine.executor == AUTO:
            self._given_up = True
        return self._given_up

    @cached_property
    def definition(self) -> Definition:
        """The pipeline, as jobs have it."""
        from ktrans.engine.job import Definition

        return Definition.of(self._assembly.pipeline, self._catalogue)

    def executor(self) -> Executor[Any]:
        """Return the executor, ready for jobs."""
        if not self._opened:
            from ktrans.engine.worker import work

            self._assembly.executor.open(work, workers=self._workers)
            self._opened = True
        return self._assembly.executor
