"""What other tools put around records, for tests: a function for each carrier, from records to bytes."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import zipfile
import zlib

import pyarrow as pa
import pyarrow.parquet as pq

MILLIS = 1764000060000
TIME = "2025-11-24T16:01:00"
STREAM = "eni-0aa11bb22cc33dd44-all"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def dumps(value) -> str:
    return json.dumps(value, ensure_ascii=False)


def lines(values) -> bytes:
    return "".join(f"{dumps(value)}\n" for value in values).encode()


def envelope(records, group="/vpc/flow") -> dict:
    events = [
        {"id": str(number), "timestamp": MILLIS, "message": record}
        for number, record in enumerate(records)
    ]
    return {
        "messageType": "DATA_MESSAGE",
        "owner": "012345678901",
        "logGroup": group,
        "logStream": STREAM,
        "logEvents": events,
    }


def packed(records) -> str:
    return b64(gzip.compress(dumps(envelope(records)).encode()))


def cli_events(records) -> list:
    return [
        {"logStreamName": STREAM, "timestamp": MILLIS, "message": each, "eventId": str(number)}
        for number, each in enumerate(records)
    ]


def insights(records) -> dict:
    results = [
        [
            {"field": "@timestamp", "value": "2025-11-24 16:01:00.000"},
            {"field": "@message", "value": each},
            {"field": "@ptr", "value": f"CkY{number}"},
        ]
        for number, each in enumerate(records)
    ]
    return {"results": results, "statistics": {"recordsMatched": 1.0}, "status": "Complete"}


def csv_of(names, rows, **options) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", **options)
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def cli_text(records) -> bytes:
    rows = [f"EVENTS\t3{'0' * 55}\t{MILLIS}\t{STREAM}\t{each}\t{MILLIS}" for each in records]
    return "\n".join([*rows, "SEARCHEDLOGSTREAMS\tTrue", ""]).encode()


def cli_text_of_stream(records) -> bytes:
    head = f"b/3{'0' * 55}/s\tf/3{'0' * 55}/s".replace("/s", "")
    return "\n".join(
        [head, *(f"EVENTS\t{MILLIS}\t{each}\t{MILLIS}" for each in records), ""]
    ).encode()


def cli_text_of_query(records) -> bytes:
    rows = [
        f"RESULTS\t@timestamp\t2025-11-24 16:01:00.000\nRESULTS\t@message\t{each}\nRESULTS\t@ptr\tC"
        for each in records
    ]
    return "\n".join(["CWLI\tComplete", *rows, "STATISTICS\t1.0\t1.0", ""]).encode()


def cli_table(records) -> bytes:
    rows = [f"||  {number}  |  {MILLIS}  |  {STREAM}  |  {each}  |  {MILLIS}  ||" for number, each in enumerate(records)]  # fmt: skip
    head = ["-----", "|  FilterLogEvents  |", "+----+", "||  events  ||", "|+---+|"]
    names = "||  eventId  |  ingestionTime  |  logStreamName  |  message  |  timestamp  ||"
    return "\n".join([*head, names, "|+--+--+|", *rows, "|+--+--+|", ""]).encode()


def cli_yaml(records) -> bytes:
    rows = [
        f"- eventId: '{number}'\n  ingestionTime: {MILLIS}\n  logStreamName: {STREAM}\n"
        f"  message: {quoted(each)}\n  timestamp: {MILLIS}"
        for number, each in enumerate(records)
    ]
    return "\n".join(["events:", *rows, "searchedLogStreams: []", ""]).encode()


def quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def cri(records) -> bytes:
    rows = []
    for each in records:
        rows.append(f"{TIME}.123456789Z stdout P {each[:20]}")
        rows.append(f"{TIME}.123456789Z stdout F {each[20:]}")
    return "\n".join([*rows, ""]).encode()


def parquet(columns) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def archive(records) -> bytes:
    out = io.BytesIO()
    half = len(records) // 2
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("logs")
        for name, part in (("a.log", records[:half]), ("b.log", records[half:])):
            file.writestr(f"logs/{name}", "".join(f"{each}\n" for each in part))
    return out.getvalue()


def _long(value: int) -> bytes:
    value, out = value << 1, b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _bytes(data: bytes) -> bytes:
    return _long(len(data)) + data


AVRO_SCHEMA = {
    "type": "record",
    "name": "EventData",
    "namespace": "Microsoft.ServiceBus.Messaging",
    "fields": [
        {"name": "SequenceNumber", "type": "long"},
        {"name": "Offset", "type": "string"},
        {"name": "EnqueuedTimeUtc", "type": "string"},
        {"name": "SystemProperties", "type": {"type": "map", "values": ["long", "double", "string", "bytes"]}},
        {"name": "Properties", "type": {"type": "map", "values": ["null", "string"]}},
        {"name": "Body", "type": ["null", "bytes"]},
    ],
}  # fmt: skip


def avro(records, codec="deflate") -> bytes:
    marker = b"0123456789abcdef"
    head = b"Obj\x01" + _long(2) + _bytes(b"avro.schema") + _bytes(json.dumps(AVRO_SCHEMA).encode())
    head += _bytes(b"avro.codec") + _bytes(codec.encode()) + _long(0) + marker
    out = head
    for record in records:
        data = _long(7) + _bytes(b"12") + _bytes(f"{TIME}Z".encode())
        data += _long(1) + _bytes(b"x-opt") + _long(2) + _bytes(b"v") + _long(0) + _long(0)
        data += _long(1) + _bytes(record.encode())
        if codec == "deflate":
            deflate = zlib.compressobj(wbits=-15)
            data = deflate.compress(data) + deflate.flush()
        elif codec == "snappy":
            data = pa.compress(data, "snappy", asbytes=True) + b"\0\0\0\0"
        out += _long(1) + _bytes(data) + marker
    return out


CARRIERS = {
    "plain": lambda r: "".join(f"{each}\n" for each in r).encode(),
    "gzip twice": lambda r: gzip.compress(gzip.compress(CARRIERS["plain"](r))),
    "base64 of gzip": lambda r: base64.encodebytes(gzip.compress(CARRIERS["plain"](r))),
    "utf-16": lambda r: CARRIERS["plain"](r).decode().encode("utf-16"),
    "zip": archive,
    "cloudwatch": lambda r: dumps(envelope(r)).encode(),
    "cloudwatch, gzip twice": lambda r: gzip.compress(gzip.compress(dumps(envelope(r)).encode())),
    "cloudwatch, one by one": lambda r: "".join(dumps(envelope([each])) for each in r).encode(),
    "lambda": lambda r: dumps({"awslogs": {"data": packed(r)}}).encode(),
    "kinesis": lambda r: dumps({"Records": [{"kinesis": {"data": packed([each])}} for each in r]}).encode(),
    "kinesis get-records": lambda r: dumps({"Records": [{"Data": packed([each])} for each in r]}).encode(),
    "firehose": lambda r: dumps({"requestId": "9", "timestamp": 1, "records": [{"data": packed(r)}]}).encode(),
    "firehose lines": lambda r: dumps({"records": [{"data": b64(CARRIERS["plain"](r))}]}).encode(),
    "firehose message": lambda r: dumps({"records": [{"data": b64(lines([{"message": each} for each in r]))}]}).encode(),
    "pubsub push": lambda r: lines([{"message": {"data": b64(each.encode())}, "subscription": "s"} for each in r]),
    "pubsub pull": lambda r: dumps({"receivedMessages": [{"ackId": "1", "message": {"data": b64(each.encode())}} for each in r]}).encode(),
    "vector": lambda r: lines([{"message": each, "timestamp": f"{TIME}Z", "host": "h"} for each in r]),
    "fluent bit": lambda r: json.dumps([{"date": 1764000060.0, "log": each} for each in r], indent=1).encode(),
    "filebeat": lambda r: lines([{"@timestamp": f"{TIME}.000Z", "@metadata": {"beat": "x"}, "message": each} for each in r]),
    "oci logContent": lambda r: lines([{"datetime": MILLIS, "logContent": each} for each in r]),
    "docker": lambda r: lines([{"log": f"{each}\n", "stream": "stdout", "time": f"{TIME}.1Z"} for each in r]),
    "docker of vector": lambda r: lines([{"log": dumps({"message": each}) + "\n", "stream": "stdout"} for each in r]),
    "cri": cri,
    "elasticsearch": lambda r: dumps({"took": 1, "hits": {"hits": [{"_index": "i", "_source": {"message": each}} for each in r]}}).encode(),
    "filter-log-events": lambda r: json.dumps({"events": cli_events(r), "searchedLogStreams": []}, indent=4).encode(),
    "get-log-events": lambda r: json.dumps({"events": [{"timestamp": MILLIS, "message": each, "ingestionTime": MILLIS} for each in r], "nextForwardToken": "f/1"}, indent=4).encode(),
    "filter-log-events text": cli_text,
    "get-log-events text": cli_text_of_stream,
    "filter-log-events table": cli_table,
    "filter-log-events yaml": cli_yaml,
    "get-query-results": lambda r: json.dumps(insights(r), indent=4).encode(),
    "get-query-results text": cli_text_of_query,
    "tail": lambda r: "".join(f"{TIME}+00:00 {STREAM} {each}\n" for each in r).encode(),
    "tail detailed": lambda r: "".join(f"{TIME}.000000+00:00 {STREAM} {each}\n" for each in r).encode(),
    "tail short": lambda r: "".join(f"{TIME} {each}\n" for each in r).encode(),
    "console": lambda r: csv_of(["timestamp", "message"], [[MILLIS, each] for each in r]),
    "insights csv": lambda r: csv_of(["@timestamp", "@message"], [["2025-11-24 16:01:00.000", each] for each in r]),
    "athena": lambda r: csv_of(["message"], [[each] for each in r], quoting=csv.QUOTE_ALL),
    "parquet": lambda r: parquet({"message": r}),
    "parquet with times": lambda r: parquet({"ts": pa.array([MILLIS] * len(r), pa.timestamp("ms")), "log": r}),
    "parquet, gzip": lambda r: gzip.compress(parquet({"message": r})),
    "event hubs": avro,
    "event hubs, snappy": lambda r: avro(r, "snappy"),
    "event hubs, gzip": lambda r: gzip.compress(avro(r, "null")),
}  # fmt: skip
