"""Runs tasks on the machines of a Ray cluster.

Ray starts a worker process where a machine has the cores that a task asks for, keeps it for further
tasks of the run, and tells when it or its machine has died. What goes through it is JSON text.
"""

from __future__ import annotations

import json
from concurrent.futures import Future, InvalidStateError, wait
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from pydantic import Field, field_validator

from ktrans.api import (
    ComponentConfig,
    Context,
    Executor,
    InterruptedRunError,
    KtransError,
    RunError,
    Work,
    WorkerLostError,
)
from ktrans.kit.units import Size
from ktrans_ray.connection import CONNECTION, cluster_has
from ktrans_ray.log_events import RAY_NODES_MISSING
from ktrans_ray.node import run_ktrans_task

PATIENCE_SECS = 5.0
"""How long `close` waits for tasks that were asked to stop."""


class RayExecutorConfig(ComponentConfig, type="ray"):
    """Options of the executor `ray`."""

    address: str = Field(
        "auto",
        description="The head of the cluster, as `HOST:PORT`. `auto`: what `RAY_ADDRESS` names, else "
        "the cluster that this machine is a node of. ktrans runs on a node of the cluster.",
        examples=["10.0.0.5:6379"],
    )
    cpus_per_task: int = Field(
        1, ge=1, description="Cores that a task reserves, and uses.", examples=[2]
    )
    memory_per_task: Size | None = Field(
        None,
        ge=1,
        description="Memory that a task reserves: a machine gets no more tasks than fit. It is no "
        "limit. Without it only cores count.",
        examples=["2 GiB"],
    )
    resources: dict[str, float] = Field(
        {},
        description="Custom resources of Ray that a task reserves, to choose machines by.",
        examples=[{"flows": 1}],
    )

    shared_files: bool = Field(
        False,
        description="All machines see the same files under the same paths, such as those of a network "
        "drive. So sources and sinks of files can be used too. It is not checked.",
        examples=[True],
    )

    @field_validator("address")
    @classmethod
    def _is_a_node(cls, address: str) -> str:
        if "://" in address or address == "local":
            raise ValueError(
                "not `auto` or HOST:PORT; for tasks on this machine alone take the executor "
                "`processes`"
            )
        return address


class RayExecutor(Executor[RayExecutorConfig]):
    """Submits each job as a task of Ray."""

    remote: ClassVar[bool] = True
    _task: Any = None

    def __init__(self, config: RayExecutorConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.threads = config.cpus_per_task
        self.shares_files = config.shared_files
        self._running: dict[Future[dict[str, Any]], Any] = {}

    def open(self, work: Work, *, workers: int) -> None:
        """Connect to the cluster. How many jobs run at once depends on the machines it has."""
        del workers
        CONNECTION.open(self.config.address)
        import ray

        self._work = f"{work.__module__}:{work.__qualname__}"
        self._task = ray.remote(run_ktrans_task).options(
            name=f"ktrans {self.context.pipeline}",
            num_cpus=self.config.cpus_per_task,
            memory=self.config.memory_per_task,
            resources=self.config.resources,
            max_retries=0,  # the engine counts deaths, and looks for an object that causes them
            scheduling_strategy="SPREAD",
        )
        self._warn_of_missing_nodes()

    def submit(self, job: dict[str, Any]) -> Future[dict[str, Any]]:
        """Give a job to Ray, which begins it where there is room."""
        assert self._task is not None
        future: Future[dict[str, Any]] = Future()
        future.set_running_or_notify_cancel()  # it ends when the job does, and not before
        reference = self._task.remote(self._work, json.dumps(job))
        self._running[future] = reference
        reference.future().add_done_callback(partial(self._settle, future))
        return future

    def cancel(self) -> None:
        """Drop the jobs that have not begun, and interrupt the others."""
        import ray

        for reference in list(self._running.values()):
            ray.cancel(reference)

    def close(self) -> None:
        """Stop what runs, and disconnect; the cluster stays as it is."""
        if self._task is None:
            return
        self._task = None
        self.cancel()
        wait(list(self._running), PATIENCE_SECS)
        for future in list(self._running):
            self._fail(future, InterruptedRunError("the task was left behind"))
        CONNECTION.close()

    def _settle(self, future: Future[dict[str, Any]], done: Future[str]) -> None:
        """Pass on what Ray says of a job; called in a thread of Ray."""
        error = done.exception()
        if error is not None:
            self._fail(future, explain(error))
            return
        self._running.pop(future, None)
        with suppress(InvalidStateError):  # the executor was closed meanwhile
            future.set_result(json.loads(done.result()))

    def _fail(self, future: Future[dict[str, Any]], error: KtransError) -> None:
        self._running.pop(future, None)
        with suppress(InvalidStateError):
            future.set_exception(error)

    def _warn_of_missing_nodes(self) -> None:
        needs = {"CPU": float(self.config.cpus_per_task), **self.config.resources}
        if self.config.memory_per_task:
            needs["memory"] = self.config.memory_per_task
        if not cluster_has(needs):
            listed = ", ".join(f"{name} {n:g}" for name, n in needs.items())
            self.context.log.warning(
                "no machine of the Ray cluster has %s; tasks wait until one joins",
                listed,
                extra={"event": RAY_NODES_MISSING, "needs": listed},
            )


def explain(error: BaseException) -> KtransError:
    """Turn an error of Ray into one of ktrans. Errors of tasks are answers, and do not come here."""
    from ray import exceptions

    cause = error.cause if isinstance(error, exceptions.RayTaskError) else error
    if isinstance(cause, exceptions.TaskCancelledError):
        return InterruptedRunError("the task was stopped")
    if isinstance(cause, exceptions.OutOfMemoryError):
        return WorkerLostError(
            "Ray ended the process of a task: its machine was short of memory",
            hint="raise engine.executor.memory_per_task, so that fewer tasks share a machine",
        )
    if isinstance(
        cause,
        (
            exceptions.WorkerCrashedError,
            exceptions.NodeDiedError,
            exceptions.LocalRayletDiedError,
            exceptions.ObjectLostError,
        ),
    ):
        return WorkerLostError("the process or the machine of a task has died")
    if isinstance(cause, ImportError) or "ModuleNotFoundError" in str(error):
        return RunError(
            "a machine of the Ray cluster lacks a module of ktrans or of a plugin",
            code="worker_differs",
            hint="install the same versions of ktrans and its plugins on all machines",
        )
    return RunError(f"Ray could not run a task: {type(cause).__name__}")
