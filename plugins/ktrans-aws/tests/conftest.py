"""Buckets and queues on a server that speaks AWS's language, one of its own for each test."""

import uuid

import pytest

from ktrans.api import Context
from ktrans.registry.catalogue import Catalogue


class Cloud:
    """A bucket and, if asked for, a queue; clients of the server, and components over them."""

    def __init__(self, server):
        self.server = server
        self.s3 = server.client("s3")
        self.bucket = f"t-{uuid.uuid4().hex}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.access = {
            "endpoint_url": server.url,
            "region": server.region,
            "access_key_id": "testing",
            "secret_access_key": "testing",
            "path_style": True,
        }
        self.catalogue = Catalogue()

    def put(self, key, data, **more):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=data, **more)

    def keys(self, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def data(self, prefix=""):
        return {
            key: self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in self.keys(prefix)
        }

    def uploads(self):
        answer = self.s3.list_multipart_uploads(Bucket=self.bucket)
        return [item["Key"] for item in answer.get("Uploads", ())]

    def make(self, kind, raw, name=None, pipeline="flows", **context):
        config = self.catalogue.config(kind, raw)
        return self.catalogue.build(
            kind, config, Context(pipeline, name or kind, registry=self.catalogue, **context)
        )

    def source(self, **options):
        return self.make("source", {"type": "s3", "bucket": self.bucket, **self.access, **options})

    def sink(self, name="sink", pipeline="flows", **options):
        raw = {"type": "s3", "bucket": self.bucket, "path": "out/{account}/", **self.access}
        return self.make("sink", {**raw, **options}, name, pipeline)


@pytest.fixture
def cloud(s3_server):
    made = Cloud(s3_server)
    yield made
    made.s3.close()
