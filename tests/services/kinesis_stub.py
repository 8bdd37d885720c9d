"""A Kinesis that keeps records when shards split, forgets old ones, throttles, and lets iterators expire.

Moto does none of that: it moves the records of a shard that is split to its children.
"""

from __future__ import annotations

# ruff: noqa: N803 - arguments have the names of the API
import datetime as dt
import itertools

from botocore.exceptions import ClientError

PAGE = 5


def refusal(code, operation="GetRecords"):
    answer = {"Error": {"Code": code, "Message": "said so"}, "ResponseMetadata": {}}
    return ClientError(answer, operation)


class KinesisStub:
    """A client of one stream."""

    def __init__(self, clock, *shards, hours=24):
        self.clock, self.hours = clock, hours
        self.created = clock.now()
        self.parents = dict.fromkeys(shards, ())
        self.records = {name: [] for name in shards}
        self.closed = set()
        self.number = itertools.count(100)
        self.faults = []
        self.too_early = 0
        self.calls = []
        self.expired = set()
        self.iterators = {}

    # -- the world

    def put(self, shard, *values):
        for value in values:
            self.records[shard].append((next(self.number), self.clock.now(), value))

    def split(self, shard, *children):
        self.closed.add(shard)
        for child in children:
            self.parents[child] = (shard,)
            self.records[child] = []

    def merge(self, one, other, child):
        self.closed |= {one, other}
        self.parents[child] = (one, other)
        self.records[child] = []

    def trim(self):
        oldest = self.clock.now() - dt.timedelta(hours=self.hours)
        for shard, records in self.records.items():
            self.records[shard] = [one for one in records if one[1] >= oldest]

    def forget(self, shard):
        del self.records[shard], self.parents[shard]

    # -- the API

    def describe_stream_summary(self, StreamName):
        return {
            "StreamDescriptionSummary": {
                "StreamCreationTimestamp": self.created,
                "RetentionPeriodHours": self.hours,
            }
        }

    def list_shards(self, StreamName=None, NextToken=None):
        names = sorted(self.parents)
        begin = int(NextToken or 0)
        shards = [
            {
                "ShardId": name,
                **dict(
                    zip(
                        ["ParentShardId", "AdjacentParentShardId"],
                        self.parents[name],
                        strict=False,
                    )
                ),
            }
            for name in names[begin : begin + 2]
        ]
        more = {"NextToken": str(begin + 2)} if begin + 2 < len(names) else {}
        return {"Shards": shards, **more}

    def get_shard_iterator(
        self, StreamName, ShardId, ShardIteratorType, StartingSequenceNumber=None, Timestamp=None
    ):
        number = int(StartingSequenceNumber or 0)
        if Timestamp and self.too_early:
            self.too_early -= 1
            raise refusal("InvalidArgumentException", "GetShardIterator")
        if ShardId not in self.records:
            raise refusal("ResourceNotFoundException", "GetShardIterator")
        at = {
            "TRIM_HORIZON": 0,
            "LATEST": 1 << 60,
            "AT_SEQUENCE_NUMBER": number,
            "AFTER_SEQUENCE_NUMBER": number + 1,
            "AT_TIMESTAMP": next(
                (n for n, time, _ in self.records[ShardId] if time.timestamp() >= (Timestamp or 0)),
                1 << 60,
            ),
        }[ShardIteratorType]
        return {"ShardIterator": self._iterator(ShardId, at)}

    def _iterator(self, shard, at):
        name = f"it-{len(self.iterators)}"
        self.iterators[name] = (shard, at)
        return name

    def get_records(self, ShardIterator):
        if self.faults and (fault := self.faults.pop(0)):
            raise refusal(fault)
        if ShardIterator in self.expired:
            raise refusal("ExpiredIteratorException")
        shard, at = self.iterators[ShardIterator]
        self.calls.append(shard)
        left = [one for one in self.records[shard] if one[0] >= at]
        page, rest = left[:PAGE], left[PAGE:]
        after = page[-1][0] + 1 if page else at
        following = None if shard in self.closed and not rest else self._iterator(shard, after)
        return {
            "Records": [
                {"SequenceNumber": str(n), "ApproximateArrivalTimestamp": time, "Data": value}
                for n, time, value in page
            ],
            "NextShardIterator": following,
            "MillisBehindLatest": 1000 if rest else 0,
        }

    def close(self):
        pass
