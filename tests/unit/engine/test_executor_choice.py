"""What runs the tasks of an epoch."""

from __future__ import annotations

from contextlib import closing

import pytest

from ktrans.api import ConfigError, ConfigErrors, Split
from ktrans.config.load import load_pipeline
from ktrans.engine.assemble import assemble
from ktrans.engine.executor_choice import ENOUGH_BYTES, ENOUGH_WORKERS, Tasks, choose_executor
from ktrans.registry.catalogue import Catalogue

MANY = Tasks(8, 8 * ENOUGH_BYTES)
FILES = "sinks: [{type: file, path: out/}]\nsource: {type: file, paths: [in/*]}\n"
SERIAL = "enrichers: [{type: dedupe}]\n"


@pytest.fixture
def choose(tmp_path):
    """Return a function that chooses for a pipeline file."""

    def choose(text, workers, tasks):
        path = tmp_path / "p.yaml"
        path.write_text(text)
        catalogue = Catalogue()
        with closing(assemble(load_pipeline(path, catalogue), catalogue)) as assembly:
            return choose_executor(assembly, workers, tasks)

    return choose


@pytest.mark.parametrize(
    ("text", "workers", "tasks", "chosen", "reason"),
    [
        (FILES, ENOUGH_WORKERS, MANY, "processes", "one process does not feed 4 workers"),
        (FILES, ENOUGH_WORKERS - 1, MANY, "threads", "feeds fewer than 4 workers"),
        (FILES, 64, Tasks(1, ENOUGH_BYTES), "threads", "there is one task"),
        (FILES, 64, Tasks(2, ENOUGH_BYTES - 1), "threads", "does not pay"),
        (FILES, 64, Tasks(2, 1, warm=True), "processes", "does not feed"),
        (FILES + SERIAL, 64, MANY, "threads", "dedupe (has to see all rows of an epoch in order)"),
        (FILES.replace("file, path: out/", "stdout"), 64, MANY, "threads", "sink stdout"),
        (FILES + "engine: {executor: threads}", 64, MANY, "threads", "says so"),
        (FILES + "engine: {executor: auto}", 64, MANY, "processes", "does not feed"),
        (FILES + "engine: {executor: processes}", 1, Tasks(2, 1), "processes", "says so"),
        (FILES + "engine: {executor: {type: processes}}", 1, Tasks(1, 1), "threads", "one task"),
    ],
)
def test_the_executor_follows_from_settings_and_work(choose, text, workers, tasks, chosen, reason):
    choice = choose(text, workers, tasks)
    assert (choice.executor, reason in choice.reason) == (chosen, True), choice


def test_a_pipeline_that_is_bound_to_one_process_is_refused_where_it_names_processes(choose):
    text = FILES.replace("file, path: out/", "stdout") + "engine:\n  executor: processes\n"
    with pytest.raises(ConfigError) as raised:
        choose(text, 2, MANY)
    [error] = raised.value.errors if isinstance(raised.value, ConfigErrors) else [raised.value]
    assert error.code == "cannot_spread"
    assert "sink stdout" in error.message
    assert error.where is not None
    assert error.where.line == 4


def test_workers_that_see_the_same_files_can_do_what_processes_of_this_machine_can(choose):
    text = FILES + "engine: {executor: {type: ray, shared_files: %s}}"
    assert choose(text % "true", 1, MANY).executor == "ray"
    with pytest.raises(ConfigErrors) as raised:
        choose(text % "false", 1, MANY)
    assert "writes to a local path" in raised.value.errors[0].message


def test_splits_of_unknown_size_count_as_whole_tasks():
    tasks = [[Split("a", "a", 3)], [Split("b", "b"), Split("c", "c")]]
    assert Tasks.of(tasks, 100) == Tasks(2, 203)
