"""The sink of object stores: files that are uploaded unseen, and published at the commit."""

from __future__ import annotations

import abc
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import BoundedSemaphore
from typing import Any, TypeVar

from pydantic import Field, field_validator

from ktrans.api import Dataset, EpochId, TaskId
from ktrans.kit.files.partitioned_sink import PartitionedSink, PartitionedSinkConfig
from ktrans.kit.objects.once import once
from ktrans.kit.objects.store import NewObject, ObjectTarget
from ktrans.kit.objects.uploads import UploadedFiles, UploadPool

LONGEST_LISTING = 100_000
"""How many keys to look at for objects that are there already; 100 requests to most stores."""

_CONTENT_TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv; charset=utf-8",
    ".ndjson": "application/x-ndjson",
    ".arrows": "application/vnd.apache.arrow.stream",
    ".lp": "text/plain; charset=utf-8",
}


class ObjectSinkConfig(PartitionedSinkConfig):
    """Options of all sinks of objects."""

    path: str = Field(
        description="Where objects go within the bucket: a folder of fixed name, then folders named"
        " by the rows' own values. {column} takes a text or number, {time:%Y-%m-%d} a time in UTC."
        " Ends with a slash to have objects named for you; otherwise the name holds {task}.",
        examples=["flows/date={start_time:%Y-%m-%d}/", "flows/{account_id}/f-{task}.parquet"],
    )
    if_absent: bool = Field(
        False,
        description="Whether an object of another writer under one of our names stops the run, instead"
        " of being replaced.",
        examples=[True],
    )
    parallel_uploads: int = Field(
        8,
        ge=1,
        le=256,
        description="How many requests run at a time; as many parts wait in memory at most.",
        examples=[16],
    )

    @field_validator("path")
    @classmethod
    def _is_key(cls, value: str) -> str:
        parts = value.split("{", 1)[0].rpartition("/")[0].split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError("a key has no parts that are empty, . or .. and begins with no slash")
        return value


C = TypeVar("C", bound=ObjectSinkConfig)


class ObjectSink(PartitionedSink[C], abc.ABC):
    r"""Writes objects below one prefix, exactly once. A plugin writes `make_target`.

    It returns an `ObjectTarget` (`ktrans.kit.objects.store`): uploads that are invisible until they
    are published. Here that is a bucket in memory:

    >>> import pyarrow as pa
    >>> from ktrans.api import Context
    >>> from ktrans.registry.catalogue import Catalogue
    >>> from ktrans.testing.memory_bucket import MemoryBucket
    >>> bucket, catalogue = MemoryBucket(), Catalogue()
    >>> class Acme(ObjectSink[ObjectSinkConfig]):
    ...     def make_target(self):
    ...         return bucket
    >>> lines = catalogue.config("format", {"type": "jsonl"})
    >>> config = ObjectSinkConfig(type="acme", path="out/", format=lines)
    >>> sink = Acme(config, Context("flows", "lake", registry=catalogue))
    >>> rows = pa.record_batch({"n": [1, 2]})
    >>> sink.bind(rows.schema)
    >>> epoch = EpochId("flows", 1)
    >>> writer = sink.writer(TaskId(epoch, 0))
    >>> writer.write(writer.encode(rows))
    >>> receipt = writer.finish()
    >>> bucket.data()
    {}
    >>> sink.commit(epoch, [receipt])
    >>> bucket.data()
    {'out/flows.lake.00000001-0000-00000.jsonl': b'{"n":1}\n{"n":2}\n'}
    >>> sink.close()

    A crash during a commit leaves some objects of the epoch visible and the others staged; the next
    run completes the commit.
    """

    stages = "anywhere"

    @abc.abstractmethod
    def make_target(self) -> ObjectTarget:
        """Connect to the bucket; called once, on first use."""

    @once
    def target(self) -> ObjectTarget:
        """The bucket."""
        return self.make_target()

    @once
    def uploads(self) -> UploadPool:
        """The threads that send parts, and a bound for their number in memory."""
        count = self.config.parallel_uploads
        return UploadPool(
            ThreadPoolExecutor(count, thread_name_prefix="upload"), BoundedSemaphore(count)
        )

    def namespace(self) -> str:
        """Return the bucket's name for lineage, such as `s3://bucket`; nothing if it has none."""
        return ""

    def datasets(self) -> list[Dataset]:
        """Return the folder of all objects."""
        space = self.namespace()
        return [Dataset(space, self.template.root.strip("/") or "/")] if space else []

    def table_root(self) -> str:
        """Return the folder of all objects, as engines name it."""
        space, folder = self.namespace(), self.template.root.strip("/")
        return f"{space}/{folder}" if folder else space

    def check_place(self) -> None:
        """Check whether the bucket exists and can be written."""
        self.target.check()

    def close(self) -> None:
        """Release threads and connections."""
        super().close()
        if "uploads" in self.__dict__:
            self.__dict__.pop("uploads").pool.shutdown(wait=True, cancel_futures=True)
        if "target" in self.__dict__:
            self.__dict__.pop("target").close()

    def published(self) -> Iterator[str]:
        """Yield the URIs of this sink's objects, of the first `LONGEST_LISTING` below its prefix."""
        for key in islice(self.target.keys(self.template.root), LONGEST_LISTING):
            if self.owns(key.rpartition("/")[2]):
                yield self.target.uri(key)

    def discard_until(self, epoch: EpochId) -> None:
        """Remove the uploads of attempts at this epoch and at earlier ones."""
        lost = [
            leftover
            for leftover in self.target.leftovers(self.template.root)
            if self.written_until(leftover.key.rpartition("/")[2], epoch)
        ]
        for _ in self.uploads.pool.map(lambda one: self.target.discard(one.key, one.token), lost):
            pass

    def staging_area(self, task: TaskId) -> UploadedFiles:
        """Return the uploads of one attempt at a task."""
        owner = f"{self.owner}.{task}"
        return UploadedFiles(
            self.target, self.uploads, self.template.root, lambda key: self._new(key, owner)
        )

    def publish(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Publish the staged objects.

        Raises:
            StageLostError: an object is neither staged nor published.
            RunError: another writer's object has the key (`if_absent`).
        """
        futures = [self.uploads.pool.submit(self._publish, file) for file in files]
        errors = [error for future in futures if (error := future.exception())]
        if errors:
            raise errors[0]

    def _publish(self, file: Mapping[str, Any]) -> None:
        new = NewObject(file["key"], file["mark"], if_absent=self.config.if_absent)
        self.target.publish(new, file["token"])

    def _new(self, key: str, owner: str) -> NewObject:
        return NewObject(
            key,
            # Another attempt at the same task is another upload with the same key.
            mark=f"{owner} {secrets.token_hex(8)}",
            content_type=self._content_type,
            if_absent=self.config.if_absent,
        )

    @property
    def _content_type(self) -> str:
        compression = self.config.compression
        if compression != "none":
            return f"application/{compression}"
        return _CONTENT_TYPES.get(self.format.extension, "application/octet-stream")
