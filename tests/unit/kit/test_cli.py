"""What verbs print."""

from ktrans.kit.cli import table


def test_a_table_shows_no_control_characters_of_names_that_others_have_chosen():
    shown = table(["key", "value"], [["a\x1b[2J\nb", "c\x1b]0;title\x07"]], room=100)
    assert shown.splitlines()[1:] == [r"a\x1b[2J b  c\x1b]0;title\x07"]
