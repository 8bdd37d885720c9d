"""Writes objects to an S3 bucket.

An object is a multipart upload, invisible until it is completed at the commit in one step (Amazon S3 User Guide, "Uploading and copying objects using multipart upload").
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ktrans.api import StageLostError
from ktrans.kit.objects.store import MARK, Leftover, NewObject, object_exists
from ktrans_aws.client import pages
from ktrans_aws.errors import aws_errors, code_of
from ktrans_aws.s3_store import S3Store

_LOST = {"NoSuchUpload", "404"}


class S3Target:
    """Writes objects to a bucket (see `ktrans.kit.objects.store.ObjectTarget`).

    Args:
        extra: options of every new object: encryption, storage class, ACL.
    """

    def __init__(self, store: S3Store, part_bytes: int, extra: dict[str, Any]) -> None:
        self.part_bytes = part_bytes
        self.extra = extra
        self.store = store
        self.client = store.client

    def begin(self, new: NewObject) -> S3Upload:
        return S3Upload(self, new)

    def publish(self, new: NewObject, token: Any) -> None:
        """Complete the upload, unless it was completed before.

        Raises:
            StageLostError: the upload is gone, and no object of ours is there.
        """
        condition = {"IfNoneMatch": "*"} if new.if_absent else {}
        try:
            self._complete(new, token, condition)
        except Exception as error:  # noqa: BLE001  # see there
            self._not_completed(new, token, error)

    def _complete(self, new: NewObject, token: Any, condition: dict[str, str]) -> None:
        parts = [
            {"PartNumber": number, "ETag": tag} for number, tag in enumerate(token["parts"], 1)
        ]
        self.client.complete_multipart_upload(
            **self.store.place(new.key),
            **condition,
            UploadId=token["upload"],
            MultipartUpload={"Parts": parts},
        )

    def discard(self, key: str, token: Any) -> None:
        with aws_errors(f"abort the upload of {self.uri(key)}"):
            try:
                self.client.abort_multipart_upload(
                    **self.store.place(key), UploadId=token["upload"]
                )
            except Exception as error:
                if code_of(error) not in _LOST:
                    raise

    def keys(self, prefix: str) -> Iterator[str]:
        return (info.key for info in self.store.list(prefix))

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        options = {**self.store.place(""), "Prefix": prefix}
        del options["Key"]
        what = f"list the unfinished uploads below {self.uri(prefix)}"
        for page in pages(self.client, "list_multipart_uploads", what, **options):
            for item in page.get("Uploads", ()):
                yield Leftover(item["Key"], {"upload": item["UploadId"], "parts": []})

    def uri(self, key: str) -> str:
        return self.store.uri(key)

    def check(self) -> None:
        """Begin an upload and abort it, which needs the rights to write and leaves nothing behind."""
        with aws_errors(f"write to {self.uri('')}", checking=True):
            begun = self.client.create_multipart_upload(
                **self.store.place(".ktrans-check"), **self.extra
            )
            self.client.abort_multipart_upload(
                **self.store.place(".ktrans-check"), UploadId=begun["UploadId"]
            )

    def close(self) -> None:
        self.store.close()

    def _not_completed(self, new: NewObject, token: Any, error: Exception) -> None:
        """Check an upload that could not be completed; raise an error if its object does not exist.

        An earlier attempt may have completed it, or this one if its answer was lost.
        """
        mark, version = self._published(new)
        if mark == new.mark:
            return
        if code_of(error) == "PreconditionFailed":
            if not new.ours(mark):
                raise object_exists(self.uri(new.key)) from error
            with aws_errors(f"publish {self.uri(new.key)}"):
                self._complete(new, token, {"IfMatch": version})
            return
        if self._is_open(new.key, token):
            with aws_errors(f"publish {self.uri(new.key)}"):
                raise error
        raise StageLostError(
            f"the upload of {self.uri(new.key)} is gone, and so is the object",
            hint="a lifecycle rule that aborts incomplete uploads must wait longer than a pipeline"
            " may be stopped; the epoch is processed again",
        ) from error

    def _is_open(self, key: str, token: Any) -> bool:
        with aws_errors(f"look at the upload of {self.uri(key)}"):
            try:
                self.client.list_parts(
                    **self.store.place(key), UploadId=token["upload"], MaxParts=1
                )
            except Exception as error:
                if code_of(error) in _LOST:
                    return False
                raise
        return True

    def _published(self, new: NewObject) -> tuple[str | None, str]:
        """Return the mark of the object that is there, and its version."""
        found = self.store.head(new.key)
        if found is None:
            return None, ""
        return found.get("Metadata", {}).get(MARK), found["ETag"]


class S3Upload:
    """One multipart upload."""

    def __init__(self, target: S3Target, new: NewObject) -> None:
        self._target = target
        self._new = new
        self._id: str | None = None
        self._parts: list[str] = []
        self._uri = target.uri(new.key)

    def write(self, part: bytes, /) -> None:
        with aws_errors(f"write {self._uri}"):
            answer = self._target.client.upload_part(
                **self._target.store.place(self._new.key),
                UploadId=self._begun(),
                PartNumber=len(self._parts) + 1,
                Body=part,
            )
        self._parts.append(answer["ETag"])

    def stage(self) -> Any:
        """Leave the upload open; the parts are durable."""
        if not self._parts:
            self.write(b"")
        return {"upload": self._begun(), "parts": self._parts}

    def abort(self) -> None:
        """Abort the upload, if that can be done."""
        if self._id is not None:
            with contextlib.suppress(Exception):
                self._target.discard(self._new.key, {"upload": self._id})

    def _begun(self) -> str:
        if self._id is None:
            new = self._new
            with aws_errors(f"write {self._uri}"):
                answer = self._target.client.create_multipart_upload(
                    **self._target.store.place(self._new.key),
                    **self._target.extra,
                    ContentType=new.content_type,
                    Metadata={MARK: new.mark},
                )
            self._id = answer["UploadId"]
        return self._id
