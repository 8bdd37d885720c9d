"""Executors run the tasks of an epoch: in this process, in others, or on other machines.

>>> from concurrent.futures import Future
>>> from ktrans.api import ComponentConfig, Executor
>>> class InlineExecutor(Executor[ComponentConfig]):
...     def open(self, work, *, workers):
...         self.work = work
...     def submit(self, job):
...         future = Future()
...         future.set_result(self.work(job))
...         return future
...     def cancel(self):
...         pass
>>> executor = InlineExecutor(ComponentConfig(type="inline"))
>>> executor.open(lambda job: {"twice": 2 * job["number"]}, workers=1)
>>> executor.submit({"number": 4}).result()
{'twice': 8}

Jobs and answers are JSON. Nothing in a job is secret: a worker resolves the references of the
pipeline file by itself.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ClassVar

from ktrans.api.component import C, Component

Work = Callable[[dict[str, Any]], dict[str, Any]]
"""Does a job and returns its answer. It raises nothing for an error of the task: that is an answer.

A KeyboardInterrupt that is raised in it makes it undo what the task has written, and answer that the
task was interrupted.
"""


class Executor(Component[C], abc.ABC):
    """Runs jobs on workers.

    For each run: `open`, `submit` for each task of an epoch, the same for further epochs, `close`.
    A job that was lost may be submitted again while its first worker still runs it: what a worker
    writes is named by the attempt, and only one answer of a task counts.

    Attributes:
        remote: workers may be on other machines, which do not see the files of this one.
        shares_files: workers on other machines see the files of this one, under the same paths. Set by
            the constructor.
        threads: how many threads of its own a job may keep busy. Of the class, or set by the
            constructor.
    """

    remote: ClassVar[bool] = False
    shares_files: bool = False
    threads: int = 1

    @abc.abstractmethod
    def open(self, work: Work, *, workers: int) -> None:
        """Take the function that does the jobs, once, before any of them.

        Workers that cost something begin with the first job.

        Args:
            work: a function of a module, which a worker imports by its name.
            workers: how many jobs the pipeline's settings allow at once.

        Raises:
            KtransError: the workers cannot be reached.
        """

    @abc.abstractmethod
    def submit(self, job: dict[str, Any]) -> Future[dict[str, Any]]:
        """Begin a job; return the future of its answer.

        The future raises WorkerLostError if the worker is gone and its job was not given to another
        one; the engine decides whether to submit it again.

        Raises:
            KtransError: no job can be submitted any more.
        """

    @abc.abstractmethod
    def cancel(self) -> None:
        """Drop the jobs that have not begun, and ask the others to stop. Further jobs may follow.

        Their futures are cancelled, answered or failed soon; the engine does not rely on it.
        """

    def lost(self) -> str | None:
        """Return why the futures of submitted jobs may never be done; None if they will be."""
        return None
