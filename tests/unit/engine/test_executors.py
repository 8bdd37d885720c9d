"""The engine on executors that lose, repeat and delay answers, and on errors that come back as JSON."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

import pytest

from ktrans.api import (
    AccessError,
    ConfigError,
    ConfigErrors,
    ExitCode,
    KtransError,
    RetryableError,
    SplitChangedError,
    StageLostError,
    UnavailableError,
    Where,
)
from ktrans.config.load import load_pipeline
from ktrans.engine.answer import error_from_json, error_to_json
from ktrans.engine.epoch_limits import RejectLimitError
from ktrans.engine.job import Definition, EpochPart, Job, WorkerDiffersError
from ktrans.engine.observer import Observer
from ktrans.engine.run import run
from ktrans.engine.run_context import RunOptions
from ktrans.engine.worker import work
from ktrans.kit.memory import CODE
from ktrans.registry.catalogue import Catalogue
from ktrans.testing import fake_executor

LINE = "2 111122223333 eni-{} 10.0.0.1 192.0.2.{} 443 5000 6 1 52 1767225600 1767225660 ACCEPT OK\n"
CONFIG = """
name: flaky
source: {type: file, paths: [logs]}
decoder: {type: aws_vpc}
sinks:
  - {type: file, path: lake/, format: {type: jsonl}}
rejects: {type: file, path: rejects/}
state: {path: state/state.db}
"""


class Notes(Observer):
    """Collects the notes of a run."""

    def __init__(self):
        self.texts = []

    def note(self, text):
        self.texts.append(text)


class Place:
    """A folder with logs and a pipeline file."""

    def __init__(self, folder, files=12):
        self.folder = folder
        (folder / "logs").mkdir()
        for number in range(files):
            lines = [LINE.format(number, row % 250) for row in range(50)] + ["2 broken\n"]
            (folder / "logs" / f"{number:02}.log").write_text("".join(lines))

    def run(self, executor, text="", observer=None, **engine):
        settings = {
            "executor": executor,
            "task_size": 4000,
            "workers": 4,
            "retry_wait": 0,
            **engine,
        }
        path = self.folder / "p.yaml"
        path.write_text(CONFIG + text + f"engine: {json.dumps(settings)}\n")
        catalogue = Catalogue(extra={"fake_executor": fake_executor})
        pipeline = load_pipeline(path, catalogue)
        return run(pipeline, catalogue, RunOptions(), observer)

    def rows(self, sink="lake"):
        rows = Counter()
        for path in (self.folder / sink).rglob("*.jsonl"):
            rows.update(path.read_text().splitlines())
        return rows

    def hidden(self):
        return [path for path in self.folder.rglob(".*") if path.is_dir()]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lose_before": 5},
        {"lose_after": 5},
        {"repeat": True},
        {"repeat": True, "lose_before": 3, "lose_after": 3, "delay_secs": 0.1, "seed": 5},
    ],
    ids=str,
)
def test_each_row_is_there_once_whatever_the_executor_does(place, options):
    receipt = place.run({"type": "fake", **options})
    assert receipt.exit_code == ExitCode.OK, receipt.error
    assert receipt.ledger.decoded.rows == 12 * 50
    rows = place.rows()
    assert sum(rows.values()) == 12 * 50
    assert max(rows.values()) == 1
    assert sum(place.rows("rejects").values()) == 12
    assert place.hidden() == []
    assert receipt.retries == options.get("lose_before", 0) + options.get("lose_after", 0)


ROLLUP = """
enrichers:
  - type: rollup
    window: 1h
    group_by: [dst_addr]
    aggregates: {bytes: sum, flows: count, faces: {distinct: interface_id}}
    flush: at_end
"""


@pytest.mark.parametrize(
    "options",
    [{}, {"repeat": True, "lose_before": 3, "lose_after": 3, "delay_secs": 0.1}],
    ids=str,
)
def test_partial_totals_travel_and_are_merged_once(place, tmp_path_factory, options):
    """Over several epochs, with the totals in state in between; the driver alone writes to the sink."""
    alone = Place(tmp_path_factory.mktemp("alone"))
    for one, executor in ((place, {"type": "fake", **options}), (alone, "threads")):
        receipt = one.run(executor, epoch_splits=5, text=ROLLUP)
        assert receipt.exit_code == ExitCode.OK, receipt.error
        assert sum(one.rows("rejects").values()) == 12
        assert one.hidden() == []
        lost = options.get("lose_before", 0) + options.get("lose_after", 0)
        assert receipt.retries == (lost if one is place else 0)
    assert place.rows() == alone.rows()
    totals = [json.loads(row) for row in place.rows()]
    assert sum(row["flows"] for row in totals) == 12 * 50
    assert {row["faces"] for row in totals} == {12}


def test_tasks_elsewhere_know_which_windows_are_closed(place, tmp_path_factory):
    """Late rows are rejected where they are read."""
    alone = Place(tmp_path_factory.mktemp("alone"))
    text = ROLLUP.replace("1h", "1m") + "    lateness: 0s\n    late: reject\n"
    for one, executor in ((place, {"type": "fake"}), (alone, "threads")):
        later = LINE.format(0, 1).replace("17672256", "17672266")
        with (one.folder / "logs" / "00.log").open("a") as file:
            file.write(later)
        receipt = one.run(executor, epoch_splits=5, text=text)
        assert receipt.exit_code == ExitCode.OK, receipt.error
        assert receipt.ledger.refused == {"late": 7 * 50}
        assert sum(one.rows("rejects").values()) == 12 + 7 * 50
        assert sum(json.loads(row)["flows"] for row in one.rows()) == 5 * 50 + 1
    assert place.rows() == alone.rows()


def test_a_task_that_is_lost_each_time_ends_the_run(place):
    receipt = place.run({"type": "fake", "lose_before": 1000}, attempts=1)
    assert receipt.error is not None
    assert receipt.error["code"] == "worker_lost"
    assert receipt.exit_code == ExitCode.TRY_LATER
    assert place.rows() == Counter()
    assert place.run("threads").exit_code == ExitCode.OK
    assert sum(place.rows().values()) == 12 * 50


def test_limits_are_those_of_the_whole_epoch(place):
    for number in range(6):  # of each file less than `min_records`
        (place.folder / "logs" / f"{number:02}.log").write_text("2 broken\n" * 300)
    receipt = place.run({"type": "fake"})
    assert receipt.error is not None
    assert receipt.error["code"] == RejectLimitError.default_code
    assert place.rows() == Counter()
    assert place.hidden() == []


@pytest.mark.parametrize(
    "error",
    [
        AccessError("no", code="denied", hint="ask"),
        ConfigError("no", field="path"),
        RetryableError("busy", retry_after_secs=3.5),
        SplitChangedError("gone", code="split_vanished"),
        StageLostError("gone"),
        UnavailableError("down"),
        RejectLimitError("too many"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_json(error):
    error.component = "lake"
    back = error_from_json(json.loads(json.dumps(error_to_json(error))))
    fields = ("message", "code", "hint", "component", "exit_code")
    assert [getattr(back, name) for name in fields] == [getattr(error, name) for name in fields]
    assert str(back) == str(error)
    assert getattr(back, "field", None) == getattr(error, "field", None)
    assert getattr(back, "retry_after_secs", None) == getattr(error, "retry_after_secs", None)
    assert isinstance(error, type(back))


def test_errors_in_a_file_keep_their_places_in_json():
    parts = [ConfigError("no", field="path", where=Where("p.yaml", 3, 5)), ConfigError("nor this")]
    back = error_from_json(json.loads(json.dumps(error_to_json(ConfigErrors(parts)))))
    assert isinstance(back, ConfigErrors)
    assert [(one.message, one.field, one.where) for one in back.errors] == [
        (one.message, one.field, one.where) for one in parts
    ]


def test_a_variable_that_only_a_worker_lacks_is_told_as_such(tmp_path, monkeypatch):
    (tmp_path / "p.yaml").write_text(CONFIG.replace("[logs]", "['${env:ONE}', '${env:TWO}']"))
    monkeypatch.setenv("ONE", "logs")
    monkeypatch.setenv("TWO", "logs")
    definition = Definition.of(load_pipeline(tmp_path / "p.yaml", Catalogue()), Catalogue())
    monkeypatch.delenv("ONE")
    monkeypatch.delenv("TWO")
    part = EpochPart(1, "", dt.datetime.now(dt.UTC), decided=False)
    answer = work(Job(definition, "run", part, 0, [], [], 1, 1).to_json())
    error = error_from_json(answer["error"])
    assert isinstance(error, ConfigErrors)
    assert [one.message for one in error.errors] == [
        f"in a worker: the environment variable {name} is not set" for name in ("ONE", "TWO")
    ]


def test_defects_and_a_lack_of_memory_keep_their_codes():
    back = error_from_json(error_to_json(ZeroDivisionError("oops")))
    assert (back.code, type(back)) == ("defect", KtransError)
    assert "ZeroDivisionError" in back.__notes__[0]
    assert error_from_json(error_to_json(MemoryError())).code == CODE


def test_a_worker_that_differs_says_in_what(tmp_path, monkeypatch):
    """Options after references, versions, and the files of tables are compared; secrets are not sent."""
    monkeypatch.setenv("PLACE", "logs")
    monkeypatch.setenv("KEY", "a-secret-of-many-letters")
    (tmp_path / "table.csv").write_text("prefix,name\n10.0.0.0/8,inside\n")
    text = CONFIG.replace("[logs]", "['${env:PLACE}']") + (
        "enrichers:\n"
        "  - {type: cidr, table: table.csv}\n"
        "  - {type: hash_addresses, salt: '${env:KEY}'}\n"
    )
    (tmp_path / "p.yaml").write_text(text)
    catalogue = Catalogue()
    definition = Definition.of(load_pipeline(tmp_path / "p.yaml", catalogue), catalogue)
    assert "a-secret" not in str(definition)
    definition.load(Catalogue())
    monkeypatch.setenv("PLACE", "elsewhere")
    (tmp_path / "table.csv").write_text("prefix,name\n10.0.0.0/8,outside\n")
    with pytest.raises(WorkerDiffersError) as raised:
        definition.load(Catalogue())
    assert raised.value.code == "worker_differs"
    assert "options after references are filled in" in raised.value.message
    assert "table.csv" in raised.value.message
    monkeypatch.delenv("PLACE")
    with pytest.raises(ConfigError) as missing:
        definition.load(Catalogue())
    assert missing.value.code == "missing_env"


def test_a_table_that_changes_meanwhile_does_not_end_a_run_that_chose_processes(place, monkeypatch):
    """The run goes on with the table that it has read, and says so; who names processes gets an error."""
    place.folder.joinpath("table.csv").write_text("prefix,name\n10.0.0.0/8,inside\n")
    described = Definition.of

    def of(pipeline, catalogue):
        found = described(pipeline, catalogue)
        place.folder.joinpath("table.csv").write_text("prefix,name\n10.0.0.0/8,outside\n")
        return found

    monkeypatch.setattr(Definition, "of", of)
    monkeypatch.setattr("ktrans.engine.executor_choice.ENOUGH_BYTES", 0)
    monkeypatch.setattr(Catalogue, "installed", True)
    table = "enrichers: [{type: cidr, table: table.csv}]\n"
    assert place.run("processes", table).error["code"] == "worker_differs"
    place.folder.joinpath("table.csv").write_text("prefix,name\n10.0.0.0/8,inside\n")
    notes = Notes()
    receipt = place.run("auto", table, observer=notes)
    assert receipt.outcome == "done", receipt.error
    assert "table.csv" in notes.texts[0]
    rows = place.rows()
    assert rows.total() == 12 * 50
    assert all("inside" in row for row in rows)
    assert place.hidden() == []


def test_a_job_that_makes_no_sense_is_an_error(place):
    with pytest.raises(Exception, match="missing required field"):
        work({})
