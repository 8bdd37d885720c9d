"""What each error code and reject reason means, and what to do about it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Meaning:
    """A code for people.

    Attributes:
        code: as errors, rejects and metrics have it.
        cause: what it means.
        cure: what to do about it.
    """

    code: str
    cause: str
    cure: str


@cache
def meanings() -> dict[str, Meaning]:
    """Give all codes, in the order of the file: by what they are about."""
    text = files(__package__).joinpath("codes.toml").read_text("utf-8")
    return {
        code: Meaning(code, told["cause"], told["cure"])
        for code, told in tomllib.loads(text).items()
    }


def sections() -> dict[str, list[Meaning]]:
    """Give all codes by the headings of the file."""
    text = files(__package__).joinpath("codes.toml").read_text("utf-8")
    known, found = meanings(), dict[str, list[Meaning]]()
    heading = ""
    for line in text.splitlines():
        if line.startswith("# --- "):
            heading = line.strip("# -")
            found[heading] = []
        elif line.startswith("["):
            found[heading].append(known[line.strip("[]")])
    return found
