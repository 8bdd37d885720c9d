"""Renders the page: HTML from a template that escapes all values, with SVG and no scripts."""

from __future__ import annotations

from typing import Any

from ktrans_report import text
from ktrans_report.model import Report

WIDE, PHONE = 900, 344


def render(report: Report) -> str:
    """Return the whole page as one text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup, escape

    from ktrans_report.svg import draw

    loader = PackageLoader("ktrans_report", "assets")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip

    def drawings(figure: Any) -> dict[str, Markup]:
        label = f"{figure.title}: {figure.finding}"
        # Made of escaped text by an XML writer.
        return {
            name: Markup(draw(figure.chart(width), label, f"{figure.id}-{name}"))  # noqa: S704
            for name, width in (("wide", WIDE), ("phone", PHONE))
        }

    def prose(sentence: str) -> Markup:
        """Show text between backticks as code; escape everything."""
        parts = [
            Markup("<code>{}</code>").format(part) if at % 2 else escape(part)
            for at, part in enumerate(sentence.split("`"))
        ]
        return Markup("").join(parts)

    environment.filters["prose"] = prose
    environment.filters["kept"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    style, _, _ = loader.get_source(environment, "page.css")
    return environment.get_template("page.html").render(
        report=report,
        made=text.when(round(report.made.timestamp() * 1_000_000)),
        style=Markup(style),  # noqa: S704 - our own file
        drawings=drawings,
    )
