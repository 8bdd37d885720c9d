"""The hooks that observe a run: what they receive, and that their errors do not stop it."""

from __future__ import annotations

import json
import logging
import re
import threading
import types

import pytest

from ktrans.api import Context, Dataset, RetryableError, hookimpl, hooks
from ktrans.engine.log_context import bound
from ktrans.observe.observers import HookObserver
from ktrans.registry import redaction
from ktrans.registry.catalogue import Catalogue
from ktrans.testing import fakes

WATCHED = [
    "ktrans_run_opened",
    "ktrans_run_started",
    "ktrans_epoch_started",
    "ktrans_task_finished",
    "ktrans_retrying",
    "ktrans_epoch_committed",
    "ktrans_caught_up",
    "ktrans_run_finished",
]


def spying(*, failing=False):
    """Make a plugin that writes down every call, with the context of its thread."""
    calls, lock = [], threading.Lock()

    def record(hook, run, what):
        with lock:
            calls.append((hook, run, what, dict(bound())))
        if failing:
            raise RuntimeError(f"{hook} broke")

    def ktrans_run_opened(run):
        record("ktrans_run_opened", run, None)

    def ktrans_run_started(run):
        record("ktrans_run_started", run, None)

    def ktrans_epoch_started(run, epoch):
        record("ktrans_epoch_started", run, epoch)

    def ktrans_task_finished(run, task):
        record("ktrans_task_finished", run, task)

    def ktrans_retrying(run, retry):
        record("ktrans_retrying", run, retry)

    def ktrans_epoch_committed(run, epoch):
        record("ktrans_epoch_committed", run, epoch)

    def ktrans_caught_up(run):
        record("ktrans_caught_up", run, None)

    def ktrans_run_finished(run, receipt):
        record("ktrans_run_finished", run, receipt)

    plugin = types.ModuleType("spy")
    for function in list(locals().values()):
        if getattr(function, "__name__", "").startswith("ktrans_"):
            setattr(plugin, function.__name__, hookimpl(function))
    plugin.calls = calls
    return plugin


@pytest.fixture
def watch(bench):
    """Run the bench with a spying plugin, and give the calls by hook."""

    def watch(*, failing=False, **options):
        plugin = spying(failing=failing)
        bench.catalogue = Catalogue(extra={"fakes": fakes, "spy": plugin})
        receipt = bench.run(HookObserver(bench.catalogue, "p.yaml"), **options)
        return receipt, plugin.calls

    return watch


def of(calls, hook):
    return [what for name, _, what, _ in calls if name == hook]


def test_a_run_is_reported_from_its_opening_to_its_end(bench, watch):
    bench.fill(objects=6, lines=5)
    bench.world.objects["object-001"] += "bad\n"
    receipt, calls = watch()
    names = [name for name, *_ in calls]
    assert names[:3] == ["ktrans_run_opened", "ktrans_run_started", "ktrans_epoch_started"]
    assert names[-1] == "ktrans_run_finished"
    assert names.count("ktrans_epoch_committed") == receipt.epochs == 2
    run = calls[0][1]
    assert (run["pipeline"], run["config"], run["run_id"]) == ("p", "p.yaml", receipt.run_id)
    assert [part["component"] for part in run["outputs"]] == ["a", "b", "rejects"]
    assert {"name": "bytes", "type": "int64", "description": ""} in run["outputs"][0]["columns"]
    tasks = of(calls, "ktrans_task_finished")
    assert sum(task["rows"] for task in tasks) == 30
    assert sum(task["rejects"] for task in tasks) == 1
    assert sum(task["splits"] for task in tasks) == 6
    for task in tasks:
        stages = {(stage["stage"], stage["component"]) for stage in task["stages"]}
        assert {
            ("read", "source"),
            ("decode", "decoder"),
            ("encode", "a"),
            ("write", "b"),
        } <= stages
        assert {("finish", "a"), ("finish", "b"), ("finish", "rejects")} <= stages
        for stage in task["stages"]:
            assert task["began"] <= stage["began"] <= stage["ended"] <= task["ended"]
    committed = of(calls, "ktrans_epoch_committed")
    assert [stage["component"] for stage in committed[0]["stages"]] == ["a", "b", "rejects"]
    assert of(calls, "ktrans_run_finished")[0]["outcome"] == "done"
    json.dumps([call[1:] for call in calls])


def test_every_key_that_hooks_are_given_is_documented(bench, watch):
    bench.fill(objects=2)
    bench.world.errors["object-000"] = [RetryableError("slow down")]
    _, calls = watch()
    assert {name for name, *_ in calls} == set(WATCHED)
    general = hooks.__doc__
    for name, run, what, _ in calls:
        documented = set(re.findall(r"\w+", f"{general} {getattr(hooks, name).__doc__}"))
        assert set(run) <= documented
        if name == "ktrans_run_finished":
            continue  # the receipt has a page of its own
        assert set(what or ()) <= documented | {"torn", "strange", "access"}, name


def test_a_retry_is_reported_when_it_happens_and_with_its_task(bench, watch):
    bench.fill(objects=2)
    bench.world.errors["object-000"] = [RetryableError("slow down", code="busy")]
    bench.world.plan_errors.append(RetryableError("no answer", code="silent"))
    _, calls = watch()
    listing, reading = of(calls, "ktrans_retrying")
    assert (listing["code"], listing["epoch"], listing["task"]) == ("silent", None, None)
    assert (reading["code"], reading["epoch"], reading["attempt"]) == ("busy", 1, 1)
    (task,) = [task for task in of(calls, "ktrans_task_finished") if task["attempts"] == 2]
    assert [retry["message"] for retry in task["retries"]] == ["slow down"]
    assert task["index"] == reading["task"]
    assert task["error"] is None


def test_a_failed_run_is_reported_with_its_error_and_the_next_one_as_resuming(bench, watch):
    bench.fill(objects=2)
    bench.world.write_errors.append(ValueError("the disk ate it"))
    receipt, calls = watch()
    assert receipt.outcome == "failed"
    failed = [task for task in of(calls, "ktrans_task_finished") if task["error"]]
    assert failed[0]["error"]["type"] == "ValueError"
    assert not of(calls, "ktrans_epoch_committed")
    assert of(calls, "ktrans_run_finished")[0]["error"]["code"] == "defect"
    _, calls = watch()
    assert [epoch["resumed"] for epoch in of(calls, "ktrans_epoch_started")] == [True]


def test_a_plugin_that_fails_in_every_hook_changes_nothing(bench, watch, caplog):
    bench.fill(objects=6)
    with caplog.at_level(logging.WARNING, "ktrans"):
        receipt, calls = watch(failing=True)
    assert receipt.outcome == "done"
    assert len(bench.names()) == 30
    failed = {record.hook for record in caplog.records if record.event == "hook_failed"}
    assert failed == {name for name, *_ in calls}


def test_hooks_are_called_in_the_context_of_their_run(bench, watch):
    bench.fill(objects=6)
    receipt, calls = watch()
    for name, _, what, context in calls:
        assert (context["pipeline"], context["run_id"]) == ("p", receipt.run_id)
        if name == "ktrans_task_finished":
            assert (context["epoch"], context["task"]) == (what["epoch"], what["index"])


def test_no_secret_goes_through_a_hook(bench, watch, monkeypatch):
    monkeypatch.setattr(redaction, "_process", redaction.Redactor())
    redaction.learn_secrets(["open sesame"])
    monkeypatch.setattr(
        fakes.FakeSource, "datasets", lambda self: [Dataset("x://u:pass@h", "open sesame")]
    )
    bench.fill(objects=2)
    bench.world.errors["object-000"] = [RetryableError("no: open sesame")]
    _, calls = watch()
    assert of(calls, "ktrans_retrying")
    bench.world.objects["object-002"] = "1 1 later\n"
    bench.world.write_errors.append(ValueError("open sesame"))
    receipt, more = watch()
    assert receipt.outcome == "failed"
    text = json.dumps([call[1:] for call in (*calls, *more)])
    assert "sesame" not in text
    assert "pass@" not in text


def test_a_run_that_finds_the_lock_taken_is_opened_and_finished_but_not_started(bench, watch):
    bench.fill(objects=2)
    context = Context("p", "state", bench.pipeline.base_dir, bench.catalogue)
    store = bench.catalogue.build("state", bench.pipeline.state, context)
    with store as state, state.hold("p"):
        receipt, calls = watch(if_locked="skip")
    assert receipt.outcome == "skipped"
    assert [name for name, *_ in calls] == ["ktrans_run_opened", "ktrans_run_finished"]
    assert calls[-1][1]["pipeline"] == "p"
