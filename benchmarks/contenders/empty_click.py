"""A click program without commands: what `--help` costs at the least."""

from __future__ import annotations

import click


@click.group()
def main() -> None:
    """Do nothing."""


if __name__ == "__main__":
    main()
