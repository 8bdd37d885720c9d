"""Masks secrets in texts that are shown: logs, errors, spans, lineage.

Secrets are found in two ways. The values of `SecretStr` options, and those that plugins resolved for
`${scheme:...}`, are known; they are replaced in all their spellings (in a URL, in JSON, in base64).
Credentials that are unknown here, such as those that an SDK finds by itself, are recognized by their
form: the user part of a URL, signatures of signed URLs, authorization headers, `password=...`,
private keys.
"""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from pydantic import BaseModel, SecretBytes, SecretStr

from ktrans.registry.values import MASK, SHORTEST_SECRET

_LONG = 16
"""Each line of a multi-line secret is a secret if it has at least this length."""

_EMBEDDED = 6
"""The length in bytes from which a secret is recognized inside a longer base64 text; the encoding of
shorter ones would match by chance."""

_NAMES = (
    r"pass(?:word|wd|phrase)|(?:client|shared|aws|app|consumer)[-_ ]?secret(?:[-_]access[-_]key)?"
    r"|secret(?:[-_]?access)?[-_]?key|(?:account|shared[-_]?access|api|private)[-_]?key"
    r"|(?:access|refresh|id|auth|bearer|session|security)[-_]?token|x[-_]vault[-_]token"
    r"|sharedaccesssignature|sasl\.(?:password|oauthbearer\.client\.secret)"
)
_CREDENTIALS = r"""
    (?P<url>(?<=://)[^/?\#\s"'<>]+(?=@))
  | (?P<pem>(?<=PRIVATE[ ]KEY-----).+?(?=-----END|\Z))
  | (?P<head>\b(?:proxy-)?authorization\b["']?\s*[:=,]\s*b?["']?\s*)(?P<auth>[^"'\r\n\\]+)
  | (?P<query>\b(?:sig|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature
      |x-goog-credential|signature|sv_token|(?<=[?&])code)=)(?P<signature>[^&\s"'<>;,]+)
  | (?P<named>(?<![A-Za-z0-9])(?:NAMES)\b\\*["']?\s*(?:[:=]|,\s*(?=b?["']))\s*b?
      (?P<escape>\\+)?(?P<quote>["'])?)
    (?P<value>(?(quote)(?:(?!(?P=quote))(?(escape)[^\\\r\n]|(?:\\.|[^\\\r\n])))+
      |[^\s"'&;,<>(){}\\]+))
  | (?P<bearer>\bBearer\s+)(?P<token>[\w.~+/-]{8,}=*)
    """.replace("NAMES", _NAMES)

_MARKS = re.compile(r"[\s:=,]")
"""A text without any of these characters has nothing that the pattern of credentials matches."""


@cache
def _secret_name() -> re.Pattern[str]:
    return re.compile(rf"(?:^|[-_.])(?:{_NAMES})$", re.IGNORECASE)


@cache
def _credentials() -> re.Pattern[str]:
    """Compile the pattern on first use: it takes longer than any other."""
    return re.compile(_CREDENTIALS, re.IGNORECASE | re.VERBOSE | re.DOTALL)


def is_secret_name(name: str) -> bool:
    """Return whether the whole value of a field of this name is masked."""
    return _secret_name().search(name) is not None


class Redactor:
    """Replaces known secrets in texts; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """Add secrets; those shorter than three characters are not masked."""
        forms = {form for secret in secrets for form in _forms(str(secret))}
        with self._lock:
            if forms <= self._known:
                return
            self._known |= forms
            self._pattern = None

    def text(self, text: str) -> str:
        """Replace every known secret, and every text that has the form of one."""
        if _MARKS.search(text):
            text = _credentials().sub(_masked, text)
        pattern = self._pattern or self._compiled()
        return text if pattern is None else pattern.sub(MASK, text)

    def _compiled(self) -> re.Pattern[str] | None:
        """Compile the pattern on first use after new secrets: a fleet adds many."""
        with self._lock:
            if self._pattern is None and self._known:
                self._pattern = re.compile(_any_of(self._known))
            return self._pattern

    def tree(self, value: Any) -> Any:
        """Copy a tree of mappings and lists with every text redacted; secret names mask whole."""
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)  # JSON has no such numbers
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): MASK
                if is_secret_name(str(key)) and isinstance(item, str | bytes) and item
                else self.tree(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.tree(item) for item in value]
        return self.text(str(value))


_process = Redactor()


learn_secrets, redact, redact_tree = _process.learn, _process.text, _process.tree
"""Add secrets to those of this process, and redact texts and trees with them."""


def secrets_of(value: Any) -> Iterator[str]:
    """Yield all secrets in validated models, at any depth."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, SecretBytes):
        yield value.get_secret_value().decode(errors="replace")
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_of(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_of(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_of(item)


def _any_of(forms: Iterable[str]) -> str:
    """Return a pattern, longest first and grouped by first character for speed."""
    by_first: dict[str, list[str]] = {}
    for form in sorted(forms, key=lambda form: (-len(form), form)):
        by_first.setdefault(form[0], []).append(re.escape(form[1:]))
    return "|".join(f"{re.escape(first)}(?:{'|'.join(of)})" for first, of in by_first.items())


def _forms(secret: str) -> Iterator[str]:
    for part in {secret, secret.strip(), *_parts(secret)}:
        if len(part) < SHORTEST_SECRET:
            continue
        yield part
        yield quote(part, safe="")
        yield quote(part)
        yield quote_plus(part)
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield repr(part)[1:-1]
        yield repr(part.encode())[2:-1]
        yield from _in_base64(part.encode())


def _in_base64(part: bytes) -> Iterator[str]:
    """Yield the base64 spellings: alone, and inside a longer text (`user:password`)."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(part).decode()
        if len(part) < _EMBEDDED:
            continue
        for before in range(3):
            text = encode(b"." * before + part).decode()
            whole = (before + len(part)) * 8 // 6
            yield text[-(-before * 8 // 6) : whole]


def _parts(secret: str) -> Iterator[str]:
    """Yield the parts that are secrets too: the key of a connection string, lines of a PEM."""
    yield from re.findall(rf"(?:{_NAMES}|sig|signature)=([^;&\s]+)", secret, re.IGNORECASE)
    lines = re.split(r"\r?\n|\\n", secret)
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= _LONG)
    if "://" in secret:
        try:
            password = urlsplit(secret).password
        except ValueError:
            return
        if password:
            yield password
            yield unquote(password)


def _masked(match: re.Match[str]) -> str:
    for name in ("head", "query", "named", "bearer"):
        if (begin := match[name]) is not None:
            return f"{begin}{MASK}"
    return MASK
