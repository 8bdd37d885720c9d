"""The objects of an S3 bucket, to list, read and write under conditions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ktrans.api import RejectError, RetryableError, SplitChangedError
from ktrans.kit.objects.store import ObjectInfo, StoredObject
from ktrans_aws.client import S3Config, make_client, pages
from ktrans_aws.errors import aws_errors, code_of

_TAKEN = {"PreconditionFailed", "412"}
_GONE = {"NoSuchKey", "404"}

BY_ID = "id="
"""The beginning of a version that is an id of a versioned bucket, and not an ETag."""


class S3Body:
    """The bytes of a range."""

    def __init__(self, stream: Any, uri: str) -> None:
        self._stream = stream
        self._uri = uri

    def read(self, size: int, /) -> bytes:
        with aws_errors(f"read {self._uri}"):
            piece: bytes = self._stream.read(size)
        return piece

    def close(self) -> None:
        """Close the connection, unless everything was read: then the next request uses it."""
        self._stream.close()


class S3Store:
    """The objects of a bucket: an `ObjectStore` and a `ConditionalStore` (`ktrans.kit.objects`).

    Args:
        extra: options of every object that is written: encryption.
    """

    def __init__(
        self, config: S3Config, connections: int, extra: Mapping[str, Any] | None = None
    ) -> None:
        self.client = make_client(config, "s3", connections=connections)
        self._bucket = config.bucket
        self._payer = config.payer
        self._extra = extra or {}

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        start = {"StartAfter": after} if after else {}
        for page in self._pages(prefix, start):
            yield from (_info(item) for item in page.get("Contents", ()))

    def level(self, prefix: str) -> Iterator[ObjectInfo | str]:
        for page in self._pages(prefix, {"Delimiter": "/"}):
            yield from (folder["Prefix"] for folder in page.get("CommonPrefixes", ()))
            yield from (_info(item) for item in page.get("Contents", ()))

    def stat(self, key: str) -> ObjectInfo | None:
        return _looked_at(key, self.head(key))

    def head(self, key: str, **which: str) -> dict[str, Any] | None:
        """Return what S3 says about an object; None if it does not exist."""
        try:
            with aws_errors(f"look at {self.uri(key)}"):
                found: dict[str, Any] = self.client.head_object(**self.place(key), **which)
        except SplitChangedError:
            return None
        return found

    def open(self, key: str, version: str, start: int, end: int) -> S3Body:
        """Read a range of one version: an ETag, or `id=` and a version id."""
        which = (
            {"VersionId": version.removeprefix(BY_ID)}
            if version.startswith(BY_ID)
            else {"IfMatch": f'"{version}"'}
        )
        uri, wanted = self.uri(key), f"bytes={start}-{end - 1}"
        with aws_errors(f"read {uri}"):
            answer = self.client.get_object(**self.place(key), **which, Range=wanted)
        if start and not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
            answer["Body"].close()
            raise RetryableError(f"{uri}: the server sent another range than the requested one")
        return S3Body(answer["Body"], uri)

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def check(self) -> None:
        with aws_errors(f"list {self.uri('')}", checking=True):
            self.client.list_objects_v2(Bucket=self._bucket, MaxKeys=1, **self._payer)

    def close(self) -> None:
        self.client.close()

    def read(self, key: str) -> StoredObject | None:
        with aws_errors(f"read {self.uri(key)}"):
            try:
                answer = self.client.get_object(**self.place(key))
            except Exception as error:
                if code_of(error) in _GONE:
                    return None
                raise
            return StoredObject(answer["Body"].read(), answer["ETag"])

    def create(self, key: str, data: bytes) -> str | None:
        return self._put(key, data, {"IfNoneMatch": "*"})

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        return self._put(key, data, {"IfMatch": version})

    def delete(self, key: str) -> None:
        with aws_errors(f"remove {self.uri(key)}"):
            self.client.delete_object(**self.place(key))

    def _put(self, key: str, data: bytes, condition: dict[str, str]) -> str | None:
        with aws_errors(f"write {self.uri(key)}"):
            try:
                answer = self.client.put_object(
                    **self.place(key), **self._extra, **condition, Body=data
                )
            except Exception as error:
                if code_of(error) in _TAKEN | _GONE:
                    return None
                raise
            return str(answer["ETag"])

    def place(self, key: str) -> dict[str, str]:
        """Return the options of a request that name an object."""
        return {"Bucket": self._bucket, "Key": key, **self._payer}

    def _pages(self, prefix: str, more: dict[str, str]) -> Iterator[dict[str, Any]]:
        options = {"Bucket": self._bucket, "Prefix": prefix, **more, **self._payer}
        return pages(self.client, "list_objects_v2", f"list {self.uri(prefix)}", **options)


class NamedObjects(S3Store):
    """Reads objects of any bucket; keys are `bucket/key`.

    An object that was removed or replaced after its message was sent is a reject: a newer version
    has its own message.
    """

    def __init__(self, client: Any, payer: dict[str, str]) -> None:
        self.client = client
        self._payer = payer

    def open(self, key: str, version: str, start: int, end: int) -> S3Body:
        """Read a range of one version.

        Raises:
            RejectError: it is gone or replaced.
        """
        try:
            return super().open(key, version, start, end)
        except SplitChangedError as error:
            gone = error.code == "split_vanished"
            raise RejectError(
                f"{error.message}: {'removed' if gone else 'replaced'} after the message was sent",
                code="object_gone" if gone else "object_replaced",
            ) from error

    def look(self, key: str, version: str) -> ObjectInfo | None:
        """Look at the version with an id, or at what is there now if there is none."""
        which = {"VersionId": version.removeprefix(BY_ID)} if version.startswith(BY_ID) else {}
        return _looked_at(key, self.head(key, **which))

    def uri(self, key: str) -> str:
        return f"s3://{key}"

    def place(self, key: str) -> dict[str, str]:
        """Return the options of a request that name an object."""
        bucket, _, rest = key.partition("/")
        return {"Bucket": bucket, "Key": rest, **self._payer}


def _looked_at(key: str, found: dict[str, Any] | None) -> ObjectInfo | None:
    if found is None:
        return None
    return ObjectInfo(key, found["ContentLength"], found["ETag"].strip('"'), found["LastModified"])


def _info(item: dict[str, Any]) -> ObjectInfo:
    return ObjectInfo(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])
