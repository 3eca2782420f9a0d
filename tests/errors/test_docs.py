"""docs/errors.md says of every error what its class says."""

import random
import re
import time
from inspect import signature
from pathlib import Path

import psycopg2
import pytest

from rayces_core import Student, errors
from tests.errors.tree import every_error
from tests.factory import make_student
from tests.test_docs import code_blocks
from tests.walking import walked

DOCUMENT = Path(__file__).parents[2] / "docs" / "errors.md"
ROWS = {
    name: cells
    for name, *cells in re.findall(
        r"^\| `(\w+Error)` \| `(\w+)` \| (.+?) \| (.+?) \| (yes|) \|$", DOCUMENT.read_text(), re.MULTILINE
    )
}
CLASSES = {kind.__name__: kind for kind in every_error()}


def test_every_error_has_its_row_and_no_other():
    assert set(ROWS) == set(CLASSES)


@walked("name", CLASSES)
def test_a_row_says_what_the_class_says(name):
    code, when, remedy, again = ROWS[name]
    kind = CLASSES[name]
    assert (code, when, again == "yes") == (kind.code, kind.__doc__.strip().splitlines()[0], kind.retryable)
    assert len(remedy) > 5


@walked("name", CLASSES)
def test_attributes_that_a_row_names_are_there(name):
    _, _, remedy, _ = ROWS[name]
    known = set(signature(CLASSES[name].__init__).parameters) | set(vars(errors.RaycesError)) | VALUES
    for each in re.findall(r"`([a-z_]+)`", remedy):
        assert each in known, each


# Names in the remedies that are no attributes: reasons, settings, and what one calls.
VALUES = {
    *("closed_day", "expired", "not_overdue", "begun", "not_begun", "no_reason", "too_late", "over"),
    *("outside_schedule", "blocked_date", "busy_elsewhere", "resource_blocked"),
    *("refused_address", "unreachable", "status", "redirects", "too_large", "broken", "too_many"),
    *("statement_timeout", "find_tenant", "organization_id"),
}


def test_the_example_runs_a_unit_again_until_it_is_kept(db, a):
    *_, example = code_blocks(DOCUMENT, "python")
    names = {"db": db, "time": time, "random": random, "RaycesError": errors.RaycesError}
    exec(compile(example, DOCUMENT.name, "exec"), names)
    tried = []

    with db.tenant(a):
        student = make_student()
        holder = psycopg2.connect(db.url)
        holder.cursor().execute("SELECT 1 FROM students WHERE id = %s FOR UPDATE", (student.id,))

        def unit():
            tried.append(1)
            if len(tried) == 2:
                holder.rollback()
            list(Student.select().where(Student.id == student.id).for_update(nowait=True))
            return "kept"

        assert names["again"](unit) == "kept"
        with pytest.raises(errors.ValueRefusedError):
            names["again"](lambda: tried.append(1) or db.execute_sql("SELECT 1/0"))
    holder.close()
    assert len(tried) == 3
