"""What each function, operator and literal of expressions means, with examples that tests evaluate.

The reference page and `ktrans components function` are made of this and of the table of functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from ktrans.expressions.functions import FUNCTIONS
from ktrans.expressions.parser import CAST_TARGETS


@dataclass(frozen=True, slots=True)
class Entry:
    """A function, an operator or a literal.

    Attributes:
        name: of a function, its name; otherwise how it is written.
        usage: how it is written, with its arguments.
        about: what it gives.
        examples: expressions, each with one of the same value.
    """

    name: str
    usage: str
    about: str
    examples: tuple[tuple[str, str], ...]


def functions() -> list[Entry]:
    """Return all functions by name."""
    return [
        Entry(name, function.usage, *_FUNCTIONS[name])
        for name, function in sorted(FUNCTIONS.items())
    ]


Examples = tuple[tuple[str, str], ...]

_FUNCTIONS: dict[str, tuple[str, Examples]] = {
    "abs": ("the number without its sign", (("abs(-5)", "5"),)),
    "coalesce": ("the first value that is not null", (("coalesce(null, 'none')", "'none'"),)),
    "contains": ("whether the text has the part in it", (("contains('eni-0a1', '-0')", "true"),)),
    "date_trunc": (
        "the beginning of the second, minute, hour, day, week, month, quarter or year, in UTC",
        (
            (
                "date_trunc('hour', timestamp '2026-01-31T12:34:56Z')",
                "timestamp '2026-01-31T12:00:00Z'",
            ),
        ),
    ),
    "ends_with": ("whether the text ends so", (("ends_with('a.log.gz', '.gz')", "true"),)),
    "epoch": (
        "seconds since 1970; to compute with times: `epoch(end_time) - epoch(start_time) > 60`",
        (("epoch(timestamp '1970-01-02')", "86400.0"),),
    ),
    "floor": (
        "the next whole number that is not larger",
        (("floor(2.7)", "2.0"), ("floor(-2.5)", "-3.0")),
    ),
    "greatest": (
        "the largest of the values that are not null",
        (("greatest(1, null, 3)", "3"),),
    ),
    "in_cidr": (
        (
            "whether an address is in any of the prefixes; null if it is not an address. A list may be in "
            "a file: `in_cidr(src_addr, file('prefixes.txt'), '10.0.0.0/8')`, one prefix or address a line, "
            "IPv4 and IPv6, `#` or `;` before comments. It is read when the run starts and on reload; its "
            "path begins at the pipeline file's folder"
        ),
        (
            ("in_cidr('10.1.2.3', '10.0.0.0/8', 'fc00::/7')", "true"),
            ("in_cidr('2001:db8::1', '10.0.0.0/8')", "false"),
            ("in_cidr('here', '10.0.0.0/8')", "null"),
        ),
    ),
    "ip_prefix": (
        (
            "the prefix of that many bits that an address is in; IPv6 addresses take the second number, "
            "by default 64; null if it is not an address"
        ),
        (
            ("ip_prefix('10.1.2.3', 24)", "'10.1.2.0/24'"),
            ("ip_prefix('2001:db8:1:2::3', 24, 48)", "'2001:db8:1::/48'"),
        ),
    ),
    "least": ("the smallest of the values that are not null", (("least(1, null, 3)", "1"),)),
    "length": ("the number of characters", (("length('eni-1')", "5"),)),
    "lower": ("in lower case", (("lower('ACCEPT')", "'accept'"),)),
    "now": (
        (
            "when the epoch was planned: the same for all its rows, and again if it is repeated after a "
            "crash. In a preview or a test it is the time"
        ),
        (("now() > timestamp '2020-01-01'", "true"), ("epoch(now()) > 1e9", "true")),
    ),
    "regexp_extract": (
        (
            "the first match of a regular expression, or a group of it (1 to 9); null where nothing "
            "matches, and an empty text if the group is not part of the match"
        ),
        (
            ("regexp_extract('eni-0a1b', '[0-9]+[a-z]')", "'0a'"),
            (r"regexp_extract('web-3.prod', '-([0-9]+)\.(.*)', 2)", "'prod'"),
            ("regexp_extract('web', '[0-9]+')", "null"),
        ),
    ),
    "regexp_matches": (
        (
            "whether a regular expression matches a part of the text; `^` and `$` stand for its ends. "
            "The syntax is that of RE2"
        ),
        (("regexp_matches('eni-0a1', '^eni-[0-9a-f]+$')", "true"),),
    ),
    "regexp_replace": (
        r"with all matches of a regular expression replaced; `\1` stands for a group",
        (
            ("regexp_replace('10.0.0.1', '[0-9]+$', '0')", "'10.0.0.0'"),
            (r"regexp_replace('prod-web', '(.*)-(.*)', '\2.\1')", "'web.prod'"),
        ),
    ),
    "replace": (
        "with all occurrences of a text replaced",
        (("replace('a-b-c', '-', '.')", "'a.b.c'"),),
    ),
    "round": (
        "the nearest number of so many digits; halves away from zero",
        (("round(2.5)", "3.0"), ("round(0.126, 2)", "0.13")),
    ),
    "starts_with": ("whether the text begins so", (("starts_with('eni-0a1', 'eni-')", "true"),)),
    "substr": (
        "from a character on, so many; the first one has position 1",
        (("substr('2026-01-31', 1, 4)", "'2026'"), ("substr('eni-1', 5)", "'1'")),
    ),
    "upper": ("in upper case", (("upper('accept')", "'ACCEPT'"),)),
}

OPERATORS: list[Entry] = [
    Entry(*row)
    for row in (
        ("or", "a or b", "true if one is; null if that depends on a null",
            (("true or null", "true"), ("false or null", "null"))),
        ("and", "a and b", "true if both are; null if that depends on a null",
            (("false and null", "false"), ("true and null", "null"))),
        ("not", "not a", "the opposite", (("not false", "true"), ("not null", "null"))),
        ("=", "a = b, a != b, a <> b", "equal or not; null if one is null",
            (("1 = 1.0", "true"), ("'a' <> 'b'", "true"), ("null = null", "null"))),
        ("<", "a < b, a <= b, a > b, a >= b", "comparison of numbers, texts and times",
            (("2 < 10", "true"), ("'2' < '10'", "false"))),
        ("is null", "a is null, a is not null", "whether there is no value",
            (("null is null", "true"), ("1 is not null", "true"))),
        ("in", "a in (b, ...), a not in (b, ...), a in file('list.txt')",
            ("whether it is one of these. A file has one value a line; lines that begin with `#` are "
            "comments. Of a `.csv`, which has a header, the cells of a row are one value: `src_zone || ',' || dst_zone in "
            "file('allowed.csv')`"),
            (("443 in (80, 443)", "true"), ("'tcp' not in ('udp')", "true"))),
        ("between", "a between b and c", "`a >= b and a <= c`", (("5 between 1 and 5", "true"),)),
        ("like", "a like 'b', a ilike 'b', a not like 'b' escape '!'",
            "`%` stands for any text, `_` for one character; `ilike` ignores case",
            (("'eni-0a1' like 'eni-%'", "true"), ("'ENI-1' ilike 'eni-_'", "true"),
             ("'5%' like '5!%' escape '!'", "true"))),
        ("||", "a || b", "texts joined; null if one is null", (("'10.0.0.1' || ':' || 443", "'10.0.0.1:443'"),)),
        ("+", "a + b, a - b, -a", "sum and difference; null if 64 bits do not hold it",
            (("1 + 2 - 4", "-1"), ("9223372036854775807 + 1", "null"))),
        ("*", "a * b, a / b, a % b", "product, quotient (not rounded) and remainder; null if b is 0",
            (("7 / 2", "3.5"), ("7 % 4", "3"), ("1 / 0", "null"))),
        ("[]", "attrs['name'], attr('name')", "an entry of a map; null if there is none", ()),
        ("case", "case when a then b ... else c end", "the value after the first condition that is true",
            (("case when false then 1 else 2 end", "2"), ("case 'a' when 'a' then 'b' end", "'b'"))),
        ("cast", "cast(a as type)", f"as another type: {', '.join(CAST_TARGETS)}; null if that cannot be",
            (("cast('443' as int)", "443"), ("cast('many' as int)", "null"), ("cast(true as text)", "'true'"))),
    )
]  # fmt: skip
"""All operators, those that bind loosest first."""

LITERALS: list[Entry] = [
    Entry(*row)
    for row in (
        ("int", "443", "a whole number of 64 bits", (("-5", "0 - 5"),)),
        ("float", "0.5, 1e9", "a number", (("1e3", "1000.0"),)),
        ("text", "'text'", "text; a quote in it is written twice", (("'it''s'", "'it' || '''' || 's'"),)),
        ("bool", "true, false", "a truth value", (("true", "1 = 1"),)),
        ("null", "null", "no value: unknown, not reported", (("null + 1", "null"),)),
        ("timestamp", "timestamp '2026-01-31T12:00:00Z'",
            "a time, in UTC if it says nothing else; where a time is compared, the word may be left out",
            (("timestamp '2026-01-31' = '2026-01-31T01:00:00+01:00'", "true"),)),
        ("column", 'bytes, "odd name"', "a column; in double quotes any name can be written", ()),
    )
]  # fmt: skip
"""All forms of constants, and names of columns."""
