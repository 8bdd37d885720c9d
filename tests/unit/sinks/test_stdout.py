"""The stdout sink in a pipe, as a process of its own."""

import subprocess
import sys
import textwrap

import pytest

from ktrans.api import ConfigError, Context
from ktrans.formats.parquet import ParquetFormat, ParquetFormatConfig
from ktrans.sinks.stdout import StdoutSink, StdoutSinkConfig

PROGRAM = """
    import pyarrow as pa
    from ktrans.api import Context, EpochId, InterruptedRunError, TaskId
    from ktrans.formats.jsonl import JsonlFormat, JsonlFormatConfig
    from ktrans.sinks.stdout import StdoutSink, StdoutSinkConfig

    class Registry:
        def build(self, kind, config, context):
            return JsonlFormat(config, context)

    batch = pa.record_batch({"n": pa.array(range(ROWS))})
    sink = StdoutSink(StdoutSinkConfig(format=JsonlFormatConfig()), Context(registry=Registry()))
    sink.bind(batch.schema)
    epoch = EpochId("p", 1)
    writer = sink.writer(TaskId(epoch, 0))
    writer.write(writer.encode(batch))
    try:
        sink.commit(epoch, [writer.finish()])
    except InterruptedRunError as error:
        raise SystemExit(int(error.exit_code))
    finally:
        sink.close()
"""


def program(rows):
    return [sys.executable, "-c", textwrap.dedent(PROGRAM).replace("ROWS", str(rows))]


def test_more_than_fits_in_memory_is_printed_in_order():
    done = subprocess.run(program(1_000_000), capture_output=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 1_000_000
    assert lines[999_999] == b'{"n":999999}'
    assert done.stderr == b""


def test_a_reader_that_leaves_ends_the_run_quietly():
    with subprocess.Popen(program(1_000_000), stdout=-1, stderr=-1) as process:
        assert process.stdout.readline() == b'{"n":0}\n'
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 75


class Registry:
    def build(self, kind, config, context):
        return ParquetFormat(config, context)


def test_files_cannot_be_printed():
    config = StdoutSinkConfig(format=ParquetFormatConfig())
    with pytest.raises(ConfigError, match="parquet makes files"):
        StdoutSink(config, Context(registry=Registry())).needs()
