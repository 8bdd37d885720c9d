"""Lets `python -m ktrans` do what the `ktrans` command does."""

from ktrans.cli import main

if __name__ == "__main__":
    main()
