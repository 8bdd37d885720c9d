"""The real ends that pipelines are killed between: each can be filled, written to and read back."""

import gzip
import json
import uuid
from collections import Counter

FIELDS = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes "
    "start end action log-status"
)
ROWS = 40
START = 1_767_225_600


def row(number):
    """Return a line whose bytes tell it from all others."""
    return (
        f"2 111122223333 eni-{number % 7} 10.0.0.{number % 250} 192.0.2.1 {1024 + number % 60000} "
        f"443 6 1 {number} {START + number % 7200} {START + number % 7200 + 60} ACCEPT OK"
    )


def lines(part):
    """Return the lines of one object or batch of messages."""
    return [row(number) for number in range(part * ROWS, (part + 1) * ROWS)]


def packed(part):
    """Return the lines of one object as it lies in a bucket."""
    return gzip.compress(("\n".join([FIELDS, *lines(part)]) + "\n").encode(), 1)


def counted(texts):
    """Count the rows of JSON lines by what tells them apart."""
    return Counter(json.loads(line)["bytes"] for text in texts for line in text.splitlines())


class Bucket:
    """What buckets and containers share."""

    def decoder(self):
        return {"type": "aws_vpc"}

    def __init__(self):
        self.name = f"flows-{uuid.uuid4().hex[:12]}"

    def sink(self):
        return {**self.options(), "path": "out/", "format": {"type": "jsonl"}}

    def source(self):
        return {**self.options(), "prefix": "in/", "lookback": 86_400}

    def fill(self, part):
        self.put(f"in/{part:06}.log.gz", packed(part))

    def rows(self):
        return counted(self.texts())


class S3(Bucket):
    def __init__(self, server):
        super().__init__()
        self.server, self.client = server, server.client("s3")
        self.client.create_bucket(Bucket=self.name)

    def options(self):
        return {
            "type": "s3",
            "bucket": self.name,
            "endpoint_url": self.server.url,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
            "path_style": True,
        }

    def put(self, key, data):
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def texts(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix="out/"
        )
        for page in pages:
            for found in page.get("Contents", ()):
                got = self.client.get_object(Bucket=self.name, Key=found["Key"])
                yield got["Body"].read().decode()

    def leftovers(self):
        found = self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ())
        return [upload["Key"] for upload in found]


class Gcs(Bucket):
    def __init__(self, server):
        super().__init__()
        self.server, self.client = server, server.client()
        self.client.create_bucket(self.name)

    def options(self):
        return {
            "type": "gcs",
            "bucket": self.name,
            "endpoint": self.server.url,
            "anonymous": True,
        }

    def put(self, key, data):
        self.client.bucket(self.name).blob(key).upload_from_string(data)

    def texts(self):
        for blob in self.client.list_blobs(self.name, prefix="out/"):
            if "/." not in blob.name:
                yield blob.download_as_bytes().decode()

    def leftovers(self):
        names = [blob.name for blob in self.client.list_blobs(self.name, prefix="out/")]
        return [name for name in names if "/." in name]


class Azure(Bucket):
    def __init__(self, server):
        from azure.storage.blob import BlobServiceClient

        super().__init__()
        self.text = server.connection_string
        self.client = BlobServiceClient.from_connection_string(self.text)
        self.container = self.client.create_container(self.name)

    def options(self):
        return {"type": "azure_blob", "container": self.name, "connection_string": self.text}

    def put(self, key, data):
        self.container.upload_blob(key, data)

    def texts(self):
        for blob in self.container.list_blobs(name_starts_with="out/"):
            yield self.container.download_blob(blob.name).readall().decode()

    def leftovers(self):
        return []  # uncommitted blocks: nobody but the service sees them, and it drops them


class Kafka:
    def decoder(self):
        return {"type": "aws_vpc", "format": FIELDS}

    def __init__(self, server):
        from confluent_kafka.admin import AdminClient, NewTopic

        self.bootstrap = server.bootstrap
        self.name = f"flows-{uuid.uuid4().hex[:12]}"
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        self.topics = {end: f"{self.name}-{end}" for end in ("in", "out")}
        made = admin.create_topics([NewTopic(t, 3, 1) for t in self.topics.values()])
        for future in made.values():
            future.result(60)

    def options(self):
        return {"type": "kafka", "bootstrap_servers": [self.bootstrap]}

    def source(self):
        return {**self.options(), "topics": [self.topics["in"]], "start": "earliest"}

    def sink(self):
        return {**self.options(), "topic": self.topics["out"], "key": ["interface_id"]}

    def fill(self, part):
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5})
        for number, line in enumerate(lines(part)):
            producer.produce(self.topics["in"], line.encode(), partition=number % 3)
        assert producer.flush(60) == 0

    def rows(self):
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

        topic = self.topics["out"]
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"reader-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(3)])
        rows, ended = Counter(), set()
        while len(ended) < 3:
            message = consumer.poll(60)
            assert message is not None, "the broker does not answer"
            if message.error():
                assert message.error().name() == "_PARTITION_EOF", message.error()
                ended.add(message.partition())
                continue
            rows[json.loads(message.value())["bytes"]] += 1
        consumer.close()
        return rows

    def leftovers(self):
        return []
