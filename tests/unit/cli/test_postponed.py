"""Modules whose import waits until something of them is used."""

import subprocess
import sys
from textwrap import dedent

import pytest


@pytest.fixture
def run(tmp_path):
    """Runs code in a fresh interpreter that finds modules in a folder; returns what it prints."""
    (tmp_path / "slow.py").write_text(
        "print('imported')\nVALUE = 7\ndef add(n): return n + VALUE\n"
    )
    (tmp_path / "broken.py").write_text("import no_such_module\n")

    def run(code: str) -> list[str]:
        head = "import sys, threading\nfrom ktrans.cli.postponed import postpone\n"
        command = [sys.executable, "-c", head + dedent(code)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert not done.stderr
        return done.stdout.split()

    return run


def test_a_module_is_imported_when_it_is_first_used(run):
    assert run(
        """
        postpone({"slow": {}})
        import slow
        import slow as again
        print("postponed", slow is again)
        print(slow.add(1), again.VALUE, sys.modules["slow"].add is slow.add)
        """
    ) == ["postponed", "True", "imported", "8", "7", "True"]


def test_a_name_that_is_imported_imports_the_module(run):
    assert run('postpone({"slow": {}})\nfrom slow import VALUE\nprint(VALUE)') == ["imported", "7"]


def test_something_else_stands_for_an_attribute_until_another_one_is_used(run):
    assert run(
        """
        postpone({"slow": {"VALUE": 1}})
        import slow
        print(slow.VALUE)
        from slow import add
        import slow
        print(add(1), slow.VALUE)
        """
    ) == ["1", "imported", "8", "7"]


def test_threads_that_use_it_at_once_import_it_once(run):
    assert run(
        """
        postpone({"slow": {}})
        import slow
        found = []
        threads = [threading.Thread(target=lambda: found.append(slow.add(1))) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        print(found == [8] * 8)
        """
    ) == ["imported", "True"]


def test_a_module_that_is_imported_already_stays(run):
    assert run('import slow\npostpone({"slow": {}})\nimport slow\nprint(slow.VALUE)') == [
        "imported",
        "7",
    ]


def test_an_error_on_import_is_raised_at_the_first_use(run):
    assert run(
        """
        postpone({"broken": {}})
        import broken
        try:
            broken.name
        except ModuleNotFoundError as error:
            print(error.name)
        """
    ) == ["no_such_module"]
