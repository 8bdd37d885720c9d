"""A strict stand-in for BigQuery: the Storage Write API by Google's own protos, and tables by REST.

It checks offsets, schemas, sizes and the order of calls as the protos say, keeps what is appended as
Arrow, and shows only what was committed. Faults are scripted by the name of a call.
"""

import json
import threading
import time
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryWrite"
MAX_BYTES = 10_000_000
ARROW = {
    "INT64": pa.types.is_integer,
    "FLOAT64": pa.types.is_floating,
    "BOOL": pa.types.is_boolean,
    "STRING": pa.types.is_string,
    "JSON": pa.types.is_string,
    "BYTES": pa.types.is_binary,
    "DATE": pa.types.is_date32,
    "NUMERIC": pa.types.is_decimal,
    "TIMESTAMP": lambda kind: kind == pa.timestamp("us", "UTC"),
    "DATETIME": lambda kind: kind == pa.timestamp("us"),
}
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
Code = types.StorageError.StorageErrorCode


@dataclass
class Stream:
    table: str
    batches: list = field(default_factory=list)
    rows: int = 0
    finalized: bool = False
    committed: bool = False


class BigQueryStub:
    """Attributes:
    tables: resources by path.
    streams: by name.
    faults: for the name of a call, what happens to the next ones: a status to answer with, "lose"
        to do it and lose the answer, "hang" to answer never, None for nothing.
    calls: how often each call came.
    refuse: rows whose text column `account` or `account_id` is this are refused.
    """

    refuse = "refuse me"

    def __init__(self):
        self.tables, self.streams = {}, {}
        self.faults, self.calls = defaultdict(list), defaultdict(int)
        self.lock = threading.RLock()
        self.granted = ["bigquery.tables.updateData"]
        self.rest_status = self.rest_body = None
        self._grpc = grpc.server(ThreadPoolExecutor(16))
        self._grpc.add_generic_rpc_handlers([self._handlers()])
        self.port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._rest())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def rest_endpoint(self):
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self):
        self._grpc.stop(0).wait()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def visible(self, path):
        """The committed rows of a table."""
        with self.lock:
            shown = [s for s in self.streams.values() if s.table == path and s.committed]
            return [row for s in shown for batch in s.batches for row in batch.to_pylist()]

    # -- gRPC -----------------------------------------------------------------------------------------

    def _handlers(self):
        unary = {
            "CreateWriteStream": (self._create, types.CreateWriteStreamRequest, types.WriteStream),
            "FinalizeWriteStream": (
                self._finalize,
                types.FinalizeWriteStreamRequest,
                types.FinalizeWriteStreamResponse,
            ),
            "BatchCommitWriteStreams": (
                self._commit,
                types.BatchCommitWriteStreamsRequest,
                types.BatchCommitWriteStreamsResponse,
            ),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._scripted(name, work), request.deserialize, answer.serialize
            )
            for name, (work, request, answer) in unary.items()
        }
        handlers["AppendRows"] = grpc.stream_stream_rpc_method_handler(
            self._append, types.AppendRowsRequest.deserialize, types.AppendRowsResponse.serialize
        )
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _fault(self, name):
        with self.lock:
            self.calls[name] += 1
            return self.faults[name].pop(0) if self.faults[name] else None

    def _scripted(self, name, work):
        def handle(request, context):
            fault = self._fault(name)
            if isinstance(fault, grpc.StatusCode):
                context.abort(fault, "scripted")
            with self.lock:
                answer = work(request, context)
            if fault == "lose":
                context.abort(grpc.StatusCode.UNAVAILABLE, "the answer got lost")
            return answer

        return handle

    def _create(self, request, context):
        if request.parent not in self.tables:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no table {request.parent}")
        assert request.write_stream.type_ == types.WriteStream.Type.PENDING
        name = f"{request.parent}/streams/{uuid.uuid4().hex}"
        self.streams[name] = Stream(request.parent)
        return types.WriteStream(name=name, type_=types.WriteStream.Type.PENDING)

    def _finalize(self, request, context):
        stream = self.streams.get(request.name)
        if stream is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such stream")
        stream.finalized = True
        return types.FinalizeWriteStreamResponse(row_count=stream.rows)

    def _commit(self, request, _):
        errors = []
        for name in request.write_streams:
            stream = self.streams.get(name)
            code = None
            if stream is None or stream.table != request.parent:
                code = Code.STREAM_NOT_FOUND
            elif stream.committed:
                code = Code.STREAM_ALREADY_COMMITTED
            elif not stream.finalized:
                code = Code.INVALID_STREAM_STATE
            if code is not None:
                errors.append(types.StorageError(code=code, entity=name, error_message=code.name))
        if errors:
            return types.BatchCommitWriteStreamsResponse(stream_errors=errors)
        for name in request.write_streams:
            self.streams[name].committed = True
        return types.BatchCommitWriteStreamsResponse(commit_time={"seconds": 1})

    def _append(self, requests, context):
        given = context.invocation_metadata()  # the client adds an empty one
        places = [value for key, value in given if key == "x-goog-request-params"]
        schema = name = None
        for request in requests:
            fault = self._fault("AppendRows")
            if isinstance(fault, grpc.StatusCode):
                context.abort(fault, "scripted")
            if fault == "hang":
                while context.is_active():
                    time.sleep(0.01)
                return
            if name is None:
                name = request.write_stream
                assert f"write_stream={name}" in places, places
                written = request.arrow_rows.writer_schema.serialized_schema
                assert written, "the first request of a call has the schema"
                schema = pa.ipc.read_schema(pa.py_buffer(written))
            with self.lock:
                answer = self._appended(name, schema, request)
            if fault == "lose":
                context.abort(grpc.StatusCode.UNAVAILABLE, "the answer got lost")
            yield answer

    def _appended(self, name, schema, request):  # noqa: PLR0911
        def error(code, message, rows=()):
            status = {"code": code.value[0], "message": message}
            return types.AppendRowsResponse(error=status, row_errors=list(rows))

        stream, offset = self.streams.get(name), request.offset
        if stream is None:
            return error(grpc.StatusCode.NOT_FOUND, "no such stream")
        if stream.finalized:
            return error(grpc.StatusCode.INVALID_ARGUMENT, "the stream is finalized")
        data = request.arrow_rows.rows.serialized_record_batch
        if types.AppendRowsRequest.pb(request).ByteSize() > MAX_BYTES:
            return error(grpc.StatusCode.INVALID_ARGUMENT, "the request is too large")
        if problem := self._unfit(stream.table, schema):
            return error(grpc.StatusCode.INVALID_ARGUMENT, problem)
        batch = pa.ipc.read_record_batch(pa.py_buffer(data), schema)
        batch.validate(full=True)
        if offset < stream.rows:
            return error(grpc.StatusCode.ALREADY_EXISTS, f"offset {offset} is there already")
        if offset > stream.rows:
            return error(grpc.StatusCode.OUT_OF_RANGE, f"offset {offset} is beyond the end")
        if bad := list(self._bad(batch)):
            return error(grpc.StatusCode.INVALID_ARGUMENT, "rows are refused", bad)
        stream.batches.append(batch)
        stream.rows += batch.num_rows
        return types.AppendRowsResponse(append_result={"offset": offset})

    def _unfit(self, table, schema):
        fields = {each["name"]: each for each in self.tables[table]["schema"]["fields"]}
        for each in schema:
            if each.name not in fields:
                return f"no column {each.name}"
            kind, repeated = each.type, fields[each.name]["mode"] == "REPEATED"
            if repeated != pa.types.is_list(kind):
                return f"{each.name}: {kind}"
            if not ARROW[fields[each.name]["type"]](kind.value_type if repeated else kind):
                return f"{each.name}: {kind} is not {fields[each.name]['type']}"
        return None

    def _bad(self, batch):
        for number, row in enumerate(batch.cast(_plain(batch.schema)).to_pylist()):
            said = None
            if self.refuse in (row.get("account"), row.get("account_id")):
                said = "this account is refused"
            for each in batch.schema:
                value = row[each.name]
                if value is not None and pa.types.is_timestamp(each.type):
                    said = said or (None if FIRST <= value <= LAST else f"{each.name}: no time")
                if each.name == "attrs" and value is not None:
                    json.loads(value)
            if said:
                kind = types.RowError.RowErrorCode.FIELDS_ERROR
                yield types.RowError(index=number, code=kind, message=said)

    # -- REST -----------------------------------------------------------------------------------------

    def _rest(stub):  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.removeprefix("/bigquery/v2/")
                self.answer(stub.tables.get(path))

            def do_POST(self):
                path = self.path.removeprefix("/bigquery/v2/")
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if path.endswith(":testIamPermissions"):
                    asked = body["permissions"]
                    self.answer({"permissions": [each for each in asked if each in stub.granted]})
                    return
                place = f"{path}/{body['tableReference']['tableId']}"
                with stub.lock:
                    if place in stub.tables:
                        self.answer({"error": {"code": 409, "message": "exists"}}, 409)
                        return
                    stub.tables[place] = body
                self.answer(body)

            def answer(self, body, status=200):
                if stub.rest_status is not None:
                    status, body = stub.rest_status, {"error": {"message": "scripted"}}
                elif body is None:
                    status, body = 404, {"error": {"code": 404, "message": "not found"}}
                elif stub.rest_body is not None:
                    body = stub.rest_body
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        return Handler


def _plain(schema):
    """A schema with times as numbers, which Python has beyond the year 9999 too."""
    return pa.schema(
        [(f.name, pa.int64() if pa.types.is_timestamp(f.type) else f.type) for f in schema]
    )
