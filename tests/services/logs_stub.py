"""A CloudWatch Logs with pages, some of them empty, retention, late events and throttling.

Moto pages only if it is asked to, and keeps everything.
"""

from __future__ import annotations

# ruff: noqa: N803 - arguments have the names of the API
import itertools

from botocore.exceptions import ClientError

PAGE = 4


class LogsStub:
    """A client of log groups; events are (time, id, message)."""

    def __init__(self, clock):
        self.clock = clock
        self.groups = {}
        self.number = itertools.count(1)
        self.faults = []
        self.requests = []

    # -- the world

    def now(self):
        return int(self.clock.now().timestamp() * 1000)

    def create(self, name, days=None):
        group = {"logGroupName": name, "creationTime": self.now()}
        self.groups[name] = ({**group, "retentionInDays": days} if days else group, [])

    def put(self, name, *messages, ago=0):
        for message in messages:
            event = (self.now() - ago * 1000, f"{next(self.number):056}", message)
            self.groups[name][1].append(event)

    def trim(self):
        for group, events in self.groups.values():
            if "retentionInDays" in group:
                oldest = self.now() - group["retentionInDays"] * 86_400_000
                events[:] = [event for event in events if event[0] >= oldest]

    # -- the API

    def describe_log_groups(self, logGroupNamePrefix, nextToken=None):
        found = [
            one
            for name, (one, _) in sorted(self.groups.items())
            if name.startswith(logGroupNamePrefix)
        ]
        begin = int(nextToken or 0)
        more = {"nextToken": str(begin + 1)} if begin + 1 < len(found) else {}
        return {"logGroups": found[begin : begin + 1], **more}

    def filter_log_events(self, logGroupName, startTime, endTime, nextToken=None, **more):
        self.requests.append({"logGroupName": logGroupName, "startTime": startTime, **more})
        if self.faults and (fault := self.faults.pop(0)):
            answer = {"Error": {"Code": fault, "Message": "slow down"}, "ResponseMetadata": {}}
            raise ClientError(answer, "FilterLogEvents")
        if logGroupName not in self.groups:
            answer = {"Error": {"Code": "ResourceNotFoundException"}, "ResponseMetadata": {}}
            raise ClientError(answer, "FilterLogEvents")
        found = sorted(
            one for one in self.groups[logGroupName][1] if startTime <= one[0] <= endTime
        )
        begin, odd = divmod(int(nextToken or 0), 2)
        if not odd:  # every other page is empty
            return {"events": [], "nextToken": str(2 * begin + 1)}
        page = found[begin : begin + PAGE]
        end = begin + len(page)
        return {
            "events": [
                {"timestamp": time, "eventId": name, "message": message, "logStreamName": "s"}
                for time, name, message in page
            ],
            **({"nextToken": str(2 * end)} if end < len(found) else {}),
        }

    def close(self):
        pass
