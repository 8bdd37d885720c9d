"""The `elasticsearch` sink: what the answers of the bulk API mean."""

import json

import pytest
from pydantic import ValidationError

from ktrans.api import AccessError, ConfigError, RetryableError, RunError, UnavailableError


def bulk(*items):
    """An answer of the bulk API, from statuses or (status, type, reason)."""
    made = []
    for item in items:
        status, kind, reason = item if isinstance(item, tuple) else (item, None, None)
        error = {"error": {"type": kind, "reason": reason}} if kind else {}
        made.append({"create": {"status": status, **error}})
    errors = any("error" in one["create"] for one in made)
    return 200, {}, json.dumps({"errors": errors, "items": made}).encode()


def documents(request):
    """The numbers of the rows of a request."""
    return [line["bytes"] for line in request.json_lines()[1::2]]


BUSY = (429, "es_rejected_execution_exception", "rejected execution of coordinating operation")
THERE = (409, "version_conflict_engine_exception", "[x]: version conflict, document already exists")


def bad(number):
    return (
        400,
        "mapper_parsing_exception",
        f"failed to parse field [bytes] of type [ip] in document with id 'abc-{number}'",
    )


def test_each_row_is_a_document_with_an_id_of_its_own(stub, make, flows, deliver):
    stub.answer = lambda _: bulk(*[201] * 20)
    receipt, refused = deliver(make("elasticsearch", index="flows-x", pipeline="geo"), flows(20))
    assert (receipt.rows, list(refused)) == (20, [])
    assert receipt.outputs == (f"{stub.url}/flows-x",)
    [request] = stub.requests
    assert request.path == "/_bulk"
    assert request.query["pipeline"] == "geo"
    actions = [line["create"] for line in request.json_lines()[::2]]
    assert {action["_index"] for action in actions} == {"flows-x"}
    assert len({action["_id"] for action in actions}) == 20


def test_numbers_of_headers_are_no_secrets_of_an_answer(stub, make, flows, deliver):
    stub.answer = lambda _: bulk(*[201] * 3)
    sink = make("elasticsearch", headers={"AccountID": "0", "ProjectID": "201"})
    assert deliver(sink, flows(3))[0].rows == 3


def test_documents_that_are_there_are_not_counted_as_refused(stub, make, flows, deliver):
    stub.answer = lambda _: bulk(201, THERE, THERE, 201)
    receipt, refused = deliver(make("elasticsearch"), flows(4))
    assert (receipt.rows, list(refused), len(stub.requests)) == (4, [], 1)


def test_what_the_mapping_refuses_is_refused_and_what_is_too_much_is_sent_again(
    stub, make, flows, deliver
):
    stub.in_turn(bulk(201, bad(1), BUSY, bad(3), BUSY), bulk(BUSY, 201), bulk(201))
    receipt, refused = deliver(make("elasticsearch"), flows(5))
    assert receipt.rows == 3
    assert [documents(request) for request in stub.requests] == [[0, 1, 2, 3, 4], [2, 4], [2]]
    [one] = refused
    assert one.rows["bytes"].to_pylist() == [1, 3]
    assert one.reason == "row_refused"
    assert one.detail == "mapper_parsing_exception: failed to parse field [bytes] of type [ip]"


def test_an_index_that_is_blocked_is_waited_for(stub, make, flows, deliver):
    blocked = (403, "cluster_block_exception", "index [flows] blocked by: [FORBIDDEN/8/write]")
    stub.in_turn(bulk(blocked), bulk(201))
    assert deliver(make("elasticsearch"), flows(1))[0].rows == 1
    stub.answer = lambda _: bulk(blocked)
    with pytest.raises(RetryableError, match="blocked by"):
        deliver(make("elasticsearch", retry_timeout=0), flows(1))


@pytest.mark.parametrize(
    ("item", "error"),
    [
        ((403, "security_exception", "action is unauthorized for user [x]"), AccessError),
        ((404, "index_not_found_exception", "no such index [flows]"), ConfigError),
    ],
)
def test_what_holds_for_all_documents_ends_the_run(stub, make, flows, deliver, item, error):
    stub.answer = lambda _: bulk(*[item] * 10)
    with pytest.raises(error, match=item[1]):
        deliver(make("elasticsearch"), flows(10))


@pytest.mark.parametrize(
    "body",
    [
        b"<html>welcome</html>",
        b"{}",
        b'{"errors": true, "items": []}',
        b'{"errors": true, "items": [%b]}' % b",".join([b"{}"] * 10),
    ],
)
def test_a_server_that_is_not_elasticsearch_is_told(stub, make, flows, deliver, body):
    stub.answer = lambda _: (200, {}, body)
    with pytest.raises(RunError, match="does not answer as a bulk API does"):
        deliver(make("elasticsearch"), flows(10))


def test_a_document_is_stored_only_if_its_status_says_so(stub, make, flows, deliver):
    items = [{"create": {"status": status}} for status in (201, 400)]
    stub.answer = lambda _: (200, {}, json.dumps({"errors": True, "items": items}).encode())
    receipt, [refused] = deliver(make("elasticsearch"), flows(2))
    assert (receipt.rows, refused.rows["bytes"].to_pylist()) == (1, [1])
    assert refused.detail == "status 400"


def test_without_ids_rows_arrive_at_least_once(make):
    assert make("elasticsearch", id_columns=[]).delivery == "at_least_once"
    assert make("elasticsearch").delivery is None
    assert make("elasticsearch", action="index").upserts
    assert not make("elasticsearch").upserts


def test_an_api_key_is_sent(stub, make, flows, deliver):
    stub.answer = lambda _: bulk(201)
    deliver(make("elasticsearch", api_key="hush-hush"), flows(1))
    assert stub.requests[0].headers["authorization"] == "ApiKey hush-hush"
    with pytest.raises(ValidationError):
        make("elasticsearch", api_key="a", user="b", password="c")


def test_the_check_writes_nothing_and_says_what_is_wrong(stub, make):
    sink = make("elasticsearch", index="flows-{account_id}-x", user="me", password="hush-hush")
    allowed = [True]

    def answer(request):
        if request.path == "/_bulk":
            return 400, {}, b'{"error": {"reason": "request body is required"}}'
        assert request.json() == {"index": [{"names": ["flows-*-x"], "privileges": ["create_doc"]}]}
        return 200, {}, json.dumps({"has_all_requested": allowed[0]}).encode()

    stub.answer = answer
    sink.check()
    assert b"create" not in stub.requests[0].body
    allowed[0] = False
    with pytest.raises(AccessError, match=r"does not permit .* flows-\*-x"):
        sink.check()
    for strange in (b'"ok"', b"[]", b"1"):
        stub.in_turn((200, {}, strange), (200, {}, strange))
        sink.check()  # what answers otherwise has no such API
    stub.answer = lambda _: (401, {}, b'{"error": {"reason": "missing credentials"}}')
    with pytest.raises(AccessError, match="401: missing credentials"):
        sink.check()
    stub.answer = lambda _: (404, {}, b"no page")
    with pytest.raises(ConfigError, match="404: no page"):
        sink.check()
    stub.answer = lambda request: (400 if request.path == "/_bulk" else 401, {}, b"not allowed")
    sink.check()  # a managed service may not permit the API for privileges
    with pytest.raises(UnavailableError, match="does not answer"):
        make("elasticsearch", url="http://127.0.0.1:1").check()
