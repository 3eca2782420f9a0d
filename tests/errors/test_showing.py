"""What notebooks show of an error: the user's own lines, the sentence, what to do."""

import pytest

import rayces_core.errors
from rayces_core import ConnectionLostError, RaycesError, Student, TenantNotSetError, UnknownTenantError


def raised() -> RaycesError:
    try:
        Student.select().count()
    except TenantNotSetError as error:
        return error
    raise AssertionError


def test_the_traceback_is_the_users_own_lines_and_the_sentence():
    error = raised()
    lines = error._render_traceback_()
    assert lines[0].startswith(f"File {__file__}, line ")
    assert lines[1].strip() == "Student.select().count()"
    assert lines[2] == f"TenantNotSetError: {error}"
    assert "db.use" in lines[3]
    assert not any("peewee" in line or "binding.py" in line for line in lines)


def test_it_says_what_became_of_the_work():
    lost = ConnectionLostError("the server has left")
    lost.outcome = "unknown"
    assert "look before you run it again" in "".join(lost._render_traceback_())
    lost.outcome, lost.retryable = "not committed", True
    assert "running it again may help" in lost._repr_html_()


def test_notes_are_told():
    error = UnknownTenantError("<b>")
    error.add_note("ask <i>somebody</i>")
    assert "ask <i>somebody</i>" in "".join(error._render_traceback_())
    assert "ask &lt;i&gt;somebody" in error._repr_html_()
    assert "<b>" not in error._repr_html_()


@pytest.mark.parametrize("name", rayces_core.errors.__all__)
def test_every_error_is_shown(name):
    kind = getattr(rayces_core.errors, name)
    error = kind.__new__(kind)
    error.args = ("the <sentence>",)
    assert name in error._repr_html_()
    assert kind.code in error._repr_html_()
    assert any(line.startswith(name) for line in error._render_traceback_())
