"""What is told without a cluster: options, clusters that do not answer, errors of Ray."""

import json
import socket

import pytest
import ray.exceptions
from ktrans_ray.connection import Connection
from ktrans_ray.executor import RayExecutor, RayExecutorConfig, explain
from ktrans_ray.node import run_ktrans_task
from pydantic import ValidationError

from ktrans.api import ConfigError, InterruptedRunError, UnavailableError, WorkerLostError
from tests.command import ktrans


@pytest.fixture
def nobody():
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("address", ["ray://10.0.0.5:10001", "local"])
def test_an_address_that_is_no_head_is_refused(address):
    with pytest.raises(ValidationError, match="not `auto` or HOST:PORT"):
        RayExecutorConfig(address=address)


def test_a_task_uses_the_cores_that_it_reserves():
    assert RayExecutor(RayExecutorConfig(cpus_per_task=3)).threads == 3


def test_a_cluster_that_does_not_answer_is_told_at_once(nobody):
    executor = RayExecutor(RayExecutorConfig(address=nobody))
    with pytest.raises(UnavailableError, match=nobody):
        executor.open(json.loads, workers=1)
    executor.close()


def test_the_address_of_the_environment_is_asked_first(nobody, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", nobody)
    with pytest.raises(UnavailableError, match=nobody):
        Connection().open("auto")


def test_a_process_has_one_cluster():
    connection = Connection()
    connection._users, connection._address = 1, "10.0.0.5:6379"
    connection.open("10.0.0.5:6379")
    with pytest.raises(ConfigError, match=r"connected to the Ray cluster 10\.0\.0\.5:6379"):
        connection.open("10.0.0.6:6379")


def test_a_node_gets_and_returns_text():
    assert run_ktrans_task("builtins:dict", '{"ü": 1}') == '{"\\u00fc": 1}'


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (ray.exceptions.WorkerCrashedError(), WorkerLostError, "worker_lost"),
        (ray.exceptions.NodeDiedError("gone"), WorkerLostError, "worker_lost"),
        (ray.exceptions.OutOfMemoryError("full"), WorkerLostError, "worker_lost"),
        (ray.exceptions.TaskCancelledError(), InterruptedRunError, "interrupted"),
    ],
)
def test_errors_of_ray_are_those_of_executors(error, kind, code):
    told = explain(error)
    assert (type(told), told.code) == (kind, code)


def test_a_node_without_ktrans_is_told_as_such():
    cause = ModuleNotFoundError("No module named 'ktrans_acme'")
    told = explain(ray.exceptions.RayTaskError("run_ktrans_task", "Traceback ...", cause))
    assert told.code == "worker_differs"
    assert "same versions" in told.hint


def test_a_pipeline_that_cannot_spread_to_other_machines_is_refused(tmp_path):
    path = tmp_path / "pipeline.yaml"
    path.write_text(
        "name: flows\nsource: {type: stdin}\ndecoder: {type: aws_vpc}\n"
        "sinks: [{type: stdout}]\nengine: {executor: {type: ray}}\n"
    )
    ran = ktrans("validate", path)
    assert ran.returncode == 78, ran.stdout
    assert "cannot_spread" in ran.stderr
