"""What the configuration of a stream has to be like."""

from __future__ import annotations

from typing import Any

from ktrans.api import ConfigError
from ktrans_nats.client import Connection
from ktrans_nats.config import NatsSinkConfig, parse_subject

_HEADERS_BYTES = 300
"""Of the headers of a batch."""


async def stream_config(connection: Connection, name: str) -> dict[str, Any]:
    """Return the configuration of a stream.

    Raises:
        ConfigError: there is none of this name.
    """
    found = await connection.api(f"STREAM.INFO.{name}", f"stream {name}")
    if found is None:
        raise ConfigError(
            f"{connection.where}: there is no stream {name}",
            field="stream",
            code="jetstream_missing",
            hint=f"create it: nats stream add {name} --subjects 'SUBJECT.>,MARKS.>' --allow-batch",
        )
    config: dict[str, Any] = found["config"]
    return config


def check_subject(stream: dict[str, Any], subject: str, option: str) -> None:
    """Check that messages of a subject come into a stream.

    Args:
        stream: its configuration.
        subject: with `*` for tokens that may be anything.
        option: where the subject comes from.

    Raises:
        ConfigError: they do not.
    """
    subjects: list[str] = stream.get("subjects") or []
    if any(_covers(each.split("."), subject.split(".")) for each in subjects):
        return
    wanted = ",".join([*subjects, subject])
    raise ConfigError(
        f"stream {stream['name']} does not have the subject {subject}; it has"
        f" {', '.join(subjects) or 'none'}",
        field=option,
        code="subject_not_in_stream",
        hint=f"nats stream edit {stream['name']} --subjects '{wanted}'",
    )


def check_stream(stream: dict[str, Any], config: NatsSinkConfig, max_payload: int) -> None:
    """Check that a stream takes what the sink sends.

    Args:
        stream: its configuration.
        config: of the sink.
        max_payload: of the server.

    Raises:
        ConfigError: it does not.
    """
    check_subject(stream, _pattern(config.subject), "subject")
    if config.delivery == "exactly_once":
        check_subject(stream, f"{config.marks}.*.*.*.*", "marks")
        check_batches(stream, config)
    names = [*config.headers, *config.header_columns]
    texts = sum(map(len, [*names, *config.headers.values()])) + 4 * len(names)
    sizes = [max_payload, stream.get("max_msg_size", -1)]
    limit = min(size for size in sizes if size > 0) - texts - _HEADERS_BYTES
    if limit < config.max_message_size:
        raise ConfigError(
            f"stream {stream['name']} takes messages of {limit} bytes without their headers, which"
            f" is less than max_message_size, {config.max_message_size}",
            field="max_message_size",
            code="max_payload",
            hint=f"set max_message_size: {limit}, or raise max_payload of the server and"
            " max_msg_size of the stream",
        )


def check_batches(stream: dict[str, Any], config: NatsSinkConfig) -> None:
    """Check that a stream takes atomic batches and keeps their marks.

    Raises:
        ConfigError: it does not.
    """
    name = stream["name"]
    if not stream.get("allow_atomic"):
        raise ConfigError(
            f"stream {name} takes no atomic batches",
            field="delivery",
            code="no_atomic_batches",
            hint=f"nats stream edit {name} --allow-batch (NATS 2.12 and later), or set delivery:"
            " at_least_once",
        )
    if stream.get("retention") == "interest":
        raise ConfigError(
            f"stream {name} has the retention `interest`, so it does not keep marks",
            field="delivery",
            code="marks_not_kept",
            hint="use a stream with the retention `limits`, or set delivery: at_least_once",
        )
    if config.mark_ttl is not None and not stream.get("allow_msg_ttl"):
        raise ConfigError(
            f"stream {name} has no allow_msg_ttl, which mark_ttl needs",
            field="mark_ttl",
            code="marks_not_kept",
            hint=f"nats stream edit {name} --allow-msg-ttl, or leave out mark_ttl",
        )


def _pattern(subject: str) -> str:
    """Return a subject's template with `*` for each token that has a column."""
    text = "".join(part if isinstance(part, str) else "\0" for part in parse_subject(subject))
    return ".".join("*" if "\0" in token else token for token in text.split("."))


def _covers(wide: list[str], narrow: list[str]) -> bool:
    """Return whether all subjects of a pattern are of another one."""
    for at, part in enumerate(wide):
        if part == ">":
            return len(narrow) > at
        if at >= len(narrow) or part not in ("*", narrow[at]):
            return False
    return len(wide) == len(narrow)
