"""Docstrings of the house as reStructuredText."""

import tests.docs.site  # noqa: F401 - where the site's extension is

from _site.docstrings import converted  # isort: skip


def lines(text: str) -> list[str]:
    return [line for line in converted(text.splitlines()) if line.strip()]


def test_names_become_code_and_what_is_no_markup_stays_itself():
    assert lines("`by` may not; a `Row`s price_ of 2*3|4") == [
        r"``by`` may not; a ``Row``\ s price\_ of 2\*3\|4",
    ]


def test_each_parameter_of_a_line_gets_its_own():
    said = lines("Args:\n    path: a file. now, then: moments,\n        aware. by: who; see `x: y`.")
    assert said == ["Args:", "    path: a file.", "    now, then: moments, aware.", "    by: who; see ``x: y``."]


def test_errors_are_told_apart_and_a_list_of_them_may_say_nothing():
    assert lines("Raises:\n    AError, BError: no. CError: never.")[1:] == [
        "    AError, BError: no.",
        "    CError: never.",
    ]
    assert lines("Raises:\n    AError, BError.")[1:] == ["    AError, BError"]


def test_indented_code_is_literal_and_prose_goes_on_after_it():
    said = converted(["How:", "", "    with db.tenant(*a):", "        pass", "", "Done, `so`."])
    assert "::" in said
    assert "        with db.tenant(*a):" in said
    assert said[-1] == "Done, ``so``."


def test_a_drawn_tree_is_literal():
    said = converted(["All of them.", "", "Root", "├── A_", "└── B"])
    assert "    ├── A_" in said


def test_a_section_ends_where_the_indent_does():
    said = lines("Does.\n\nArgs:\n    a: one.\n\nMore `prose`.")
    assert said == ["Does.", "Args:", "    a: one.", "More ``prose``."]


def test_the_definition_of_a_metric_is_a_list_with_its_columns():
    said = lines("Count.\n\nDefinition\n----------\nOf `x`.\nSource: a_b_\nColumns:\n    n: how_ many")
    facts = ["- Of ``x``.", "- Source: ``a_b_``", "- Columns:", r"   - ``n``: how\_ many"]
    assert said == ["Count.", ".. rubric:: Definition", *facts]
