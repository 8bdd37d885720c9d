"""What every built-in sink owes the engine: each row once or at least once, nothing half-visible."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ktrans.api import Context, EpochId, StageLostError, TaskId
from ktrans.registry.builtin import FORMATS, SINKS
from ktrans.testing.contracts import SinkCase, SinkContract
from ktrans.testing.contracts.sinks import (
    EPOCH,
    FIRST,
    SCHEMA,
    SECOND,
    batches,
    numbers,
    revived,
    run,
)

SPECS = {("format", spec.type): spec for spec in FORMATS} | {("sink", s.type): s for s in SINKS}


class TinyRegistry:
    """Knows the built-ins, and nothing else of a host."""

    def load(self, reference):
        module, _, attr = reference.partition(":")
        return getattr(__import__(module, fromlist=[attr]), attr)

    def config(self, kind, raw):
        model = self.load(SPECS[kind, raw["type"]].config)
        nested = {
            name: self.config(k, raw[name]) for name, k in model.nested.items() if name in raw
        }
        return model(**{**raw, **nested})

    def build(self, kind, config, context):
        return self.load(SPECS[kind, config.type].build)(config, context)


class FileCase(SinkCase):
    """Builds a sink afresh, as a new process would, and looks at what others can see."""

    def __init__(self, folder, options):
        self.folder = folder
        self.options = options
        self.suffix = f".{options['format']['type']}"

    def sink(self, name="sink", pipeline="flows"):
        registry = TinyRegistry()
        context = Context(pipeline, name, base_dir=self.folder, registry=registry)
        raw = {"type": "file", "path": "out/{account}/", **self.options}
        sink = registry.build("sink", registry.config("sink", raw), context)
        sink.bind(SCHEMA)
        return sink

    def everything(self):
        found = (path for path in (self.folder / "out").rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def visible(self):
        return {name: data for name, data in self.everything().items() if "/." not in name}

    def rows(self):
        found = []
        for name in self.visible():
            path = self.folder / name
            if self.suffix == ".parquet":
                found += pq.ParquetFile(path).read()["n"].to_pylist()
            else:
                found += [json.loads(line)["n"] for line in path.read_bytes().splitlines()]
        return sorted(found)

    def leftovers(self):
        hidden = set(self.everything()) - set(self.visible())
        if (self.folder / "out").exists():
            hidden |= {p.name for p in (self.folder / "out").iterdir() if p.name.startswith(".")}
        return sorted(hidden)


CASES = [
    {"format": {"type": "parquet", "row_group_rows": 50}},
    {"format": {"type": "jsonl"}},
    {"format": {"type": "jsonl"}, "target_file_size": 1500, "buffer_size": 1 << 16},
]
NAMES = ["parquet", "jsonl", "many-files"]


@pytest.fixture(params=CASES, ids=NAMES)
def case(request, tmp_path):
    return FileCase(tmp_path, request.param)


class TestFileSink(SinkContract):
    covers = ("file",)

    @pytest.fixture(params=CASES, ids=NAMES)
    def case(self, request, tmp_path):
        return FileCase(tmp_path, request.param)


class StdoutCase(SinkCase):
    revives = False

    def __init__(self, captured):
        self.captured, self.printed = captured, b""

    def sink(self, name="sink", pipeline="flows"):
        return other("stdout")

    def rows(self):
        self.printed += self.captured.readouterr().out
        return sorted(json.loads(line)["n"] for line in self.printed.splitlines())


def test_receipts_name_the_files_and_their_sizes(case):
    sink = case.sink()
    sink.prepare(EPOCH)
    receipts = [run(sink, FIRST), run(sink, SECOND)]
    assert case.visible() == {}
    sink.commit(EPOCH, receipts)
    assert case.rows() == numbers(FIRST, SECOND)
    assert [receipt.rows for receipt in receipts] == [120, 120]
    assert sum(receipt.bytes for receipt in receipts) == sum(map(len, case.visible().values()))
    names = {str(case.folder / name) for name in case.visible()}
    assert {name for receipt in receipts for name in receipt.outputs} == names


def test_a_run_killed_after_finish_is_done_again_with_the_same_result(case, tmp_path):
    undisturbed = FileCase(tmp_path / "other", case.options)
    sink = undisturbed.sink()
    sink.commit(EPOCH, [run(sink, FIRST), run(sink, SECOND)])

    run(case.sink(), FIRST)
    half = case.sink().writer(SECOND)
    half.write(half.encode(batches(SECOND)[0]))
    again = case.sink()
    again.prepare(EPOCH)
    assert case.everything() == {}
    again.commit(EPOCH, [run(again, FIRST), run(again, SECOND)])
    assert case.everything() == undisturbed.everything()
    half.abort()


def test_a_commit_that_died_half_way_is_completed(case):
    sink = case.sink()
    receipts = [run(sink, FIRST), run(sink, SECOND)]
    file = receipts[0].data["files"][0]
    Path(file["final"]).parent.mkdir(parents=True, exist_ok=True)
    Path(file["staged"]).replace(file["final"])
    case.sink().commit(EPOCH, [revived(receipt) for receipt in receipts])
    assert case.rows() == numbers(FIRST, SECOND)


def test_a_lost_file_is_noticed_before_anything_becomes_visible(case):
    sink = case.sink()
    receipts = [run(sink, FIRST), run(sink, SECOND)]
    Path(receipts[1].data["files"][0]["staged"]).unlink()
    with pytest.raises(StageLostError):
        sink.commit(EPOCH, receipts)
    assert case.visible() == {}


def other(name, **options):
    registry = TinyRegistry()
    config = registry.config("sink", {"type": name, **options})
    sink = registry.build("sink", config, Context(name=name, registry=registry))
    sink.bind(SCHEMA)
    return sink


class TestStdoutSink(SinkContract):
    covers = ("stdout",)

    @pytest.fixture
    def case(self, capfdbinary):
        return StdoutCase(capfdbinary)


def test_stdout_prints_each_epoch_once_and_the_header_once(capfdbinary):
    sink = other("stdout", format={"type": "csv"})
    epochs = [EPOCH, EpochId("flows", 2)]
    for epoch in epochs:
        receipts = [run(sink, TaskId(epoch, 0)), run(sink, TaskId(epoch, 1))]
        assert capfdbinary.readouterr().out == b"" or epoch != EPOCH
        sink.commit(epoch, receipts)
        sink.commit(epoch, receipts)
        assert [receipt.rows for receipt in receipts] == [120, 120]
        header = ["account,n"] if epoch == EPOCH else []
        lines = capfdbinary.readouterr().out.decode().splitlines()
        assert lines[: len(header)] == header
        assert [int(line.partition(",")[2]) for line in lines[len(header) :]] == numbers(
            TaskId(epoch, 0), TaskId(epoch, 1)
        )
    sink.close()


def test_stdout_prints_nothing_of_an_aborted_task(capfdbinary):
    sink = other("stdout")
    lost = sink.writer(FIRST)
    lost.write(lost.encode(batches(FIRST)[0]))
    lost.finish()
    lost.abort()
    lost.abort()
    sink.commit(EPOCH, [run(sink, FIRST)])
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert [json.loads(line)["n"] for line in lines] == numbers(FIRST)
    sink.close()


def test_stdout_of_a_process_that_is_gone_is_lost():
    with other("stdout") as gone:
        receipt = run(gone, FIRST)
    with pytest.raises(StageLostError):
        other("stdout").commit(EPOCH, [revived(receipt)])


class BlackholeCase(SinkCase):
    """Nobody sees anything of it, ever."""

    shows = False

    def sink(self, name="sink", pipeline="flows"):
        return other("blackhole")

    def rows(self):
        return []


class TestBlackholeSink(SinkContract):
    covers = ("blackhole",)

    @pytest.fixture
    def case(self):
        return BlackholeCase()


def test_blackhole_counts():
    sink = other("blackhole")
    receipt = run(sink, FIRST)
    sink.commit(EPOCH, [receipt])
    assert receipt.rows == 120
    assert receipt.bytes > 0


@pytest.mark.parametrize("name", [spec.type for spec in SINKS])
def test_sinks_say_what_survives_a_crash_and_describe_their_options(name):
    spec = SPECS["sink", name]
    assert spec.delivery in {"exactly_once", "at_least_once"}
    for field in TinyRegistry().load(spec.config).model_fields.values():
        assert field.description
        assert field.examples
