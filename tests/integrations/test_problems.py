"""Errors as answers: each class has a status, texts in both languages, and tells nothing of other people."""

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import peewee
import pytest
from babel.messages import mofile, pofile

from rayces_core import RaycesError, Student, errors
from rayces_core.errors import ConfigurationError
from rayces_core.integrations import problems
from rayces_core.integrations.languages import LANGUAGES, LOCALE, preferred, text
from rayces_core.integrations.problems import HTTP_CODES, encoded, http_problem, problem
from rayces_core.integrations.statuses import FACTS, SAME_AS, STATUS
from tests.errors.tree import every_error
from tests.parsing import parsed
from tests.test_docs import ROOT
from tests.walking import walked

CLASSES = every_error()
FOREIGN = 987_654_321
SLOT = SimpleNamespace(start=datetime(2031, 3, 3, 12, tzinfo=UTC), end=datetime(2031, 3, 3, 13, tzinfo=UTC), id=FOREIGN)
# What the facts are like; whatever else an error has is somebody else's here.
LIKE = {
    "event": "confirm",
    "from_state": "draft",
    "allowed": ("cancel",),
    "reason": "expired",
    "field": "credits",
    "fields": ("email",),
    "nearest": SLOT,
    "every_minutes": 15,
    "earliest": SLOT.start,
    "latest": SLOT.end,
    "setting": "open_holds_per_client",
    "limit": 3,
    "admission_state": "lead",
    "retry_after": 15,
    "required": 2,
    "available": 1,
    "sessions": 2,
    "credits_left": 3,
    "payments": 0,
    "missing": ("email",),
    "unknown": ("mail",),
    "choices": {"alta": ("admission_date", "discharge_date")},
}


def full_of_others(kind):
    """An error whose sentence, id and other attributes are another person's."""
    error = kind.__new__(kind, f"user {FOREIGN} has appointment {FOREIGN}")
    error.args = (f"user {FOREIGN} has appointment {FOREIGN}",)
    named = {*kind.__init__.__code__.co_varnames} if hasattr(kind.__init__, "__code__") else set()
    for name in named | {"conflicting_id", "actor_id", "key", "value", "bound", "found", "user_id", "transaction_id"}:
        if name not in ("self", "args", "kwargs"):
            setattr(error, name, LIKE.get(name, FOREIGN))
    for name in {fact for each in kind.__mro__ for fact in FACTS.get(each, ())}:
        setattr(error, name, LIKE[name])
    return error


@walked("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_a_status_of_its_own_and_texts_in_both_languages(kind):
    assert kind in STATUS
    english, spanish = (problem(full_of_others(kind), language)[1]["title"] for language in LANGUAGES)
    assert english != spanish
    for title in (english, spanish):
        assert "_" not in title


@walked("kind", [*CLASSES, peewee.DoesNotExist, Student.DoesNotExist], ids=lambda kind: kind.__name__)
@walked("language", LANGUAGES)
def test_no_answer_tells_of_another_person(kind, language):
    status, body, headers = problem(full_of_others(kind), language)
    assert str(FOREIGN) not in json.dumps(body) + json.dumps(headers)
    assert status == body["status"]
    assert body["type"] == problems.URN + body["code"]
    if status >= 500:
        assert set(body) == {"type", "title", "status", "code"}
        assert body["code"] in (problems.INTERNAL, problems.UNAVAILABLE)


def test_statuses_are_those_that_the_documents_promise():
    promised = re.findall(
        r"^\| `(\w+Error)` .*?answer (\d{3})", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE
    )
    assert len(promised) > 4
    for name, status in promised:
        assert STATUS[getattr(errors, name)] == int(status), name


def test_a_class_without_a_status_or_a_text_would_be_seen():
    class NewError(RaycesError):
        code = "new"

    assert NewError not in STATUS
    assert text("new", "es") is None


@pytest.mark.slow
def test_reasons_of_refused_values_name_no_row():
    """`reason` of InvalidDataError is told: nothing in the library writes an id of a row, or a row, into one."""
    for path in (Path(errors.__file__).parent.parent).rglob("*.py"):
        for call in ast.walk(parsed(path)):
            if not (isinstance(call, ast.Call) and ast.unparse(call.func).endswith("InvalidDataError")):
                continue
            written = [
                part for node in call.args[2:] for part in ast.walk(node) if isinstance(part, ast.FormattedValue)
            ]
            for part in written:
                said = ast.unparse(part.value)
                assert not said.endswith(("id", "_id", "actor", "user", "row", "self")), (path, said)


def test_catalogues_hold_the_same_codes_and_are_compiled():
    held = {}
    for language in LANGUAGES:
        base = LOCALE / language / "LC_MESSAGES" / "rayces"
        with base.with_suffix(".po").open("rb") as file:
            written = pofile.read_po(file)
        with base.with_suffix(".mo").open("rb") as file:
            compiled = mofile.read_mo(file)
        held[language] = {(each.context, each.id): each.string for each in written if each.id}
        assert held[language] == {(each.context, each.id): each.string for each in compiled if each.id}
        assert all(held[language].values())
    assert held["en"].keys() == held["es"].keys()


def test_patterns_of_details_name_facts_only():
    for language in LANGUAGES:
        for kind in CLASSES:
            pattern = text(kind.code, language, "detail")
            if pattern:
                facts = {fact for each in kind.__mro__ for fact in FACTS.get(each, ())}
                assert pattern.format(**dict.fromkeys(facts, 1)) != pattern


def test_a_booking_that_is_refused_says_what_the_client_can_do():
    status, body, _ = problem(errors.InsufficientCreditsError(required=2, available=1), "es")
    assert (status, body) == (
        409,
        {
            "type": "urn:rayces:problem:insufficient_credits",
            "title": "No alcanzan los créditos",
            "status": 409,
            "code": "insufficient_credits",
            "detail": "Se necesitan 2 créditos y hay 1.",
            "required": 2,
            "available": 1,
        },
    )
    nearest = problem(errors.OutsideScheduleError("…", reason="blocked_date", nearest=SLOT))[1]
    assert nearest["nearest"] == {"start": "2031-03-03T12:00:00+00:00", "end": "2031-03-03T13:00:00+00:00"}
    assert nearest["detail"] == "There are no sessions on that day."
    refused = problem(errors.TransitionRefusedError("confirm", "expired", "…"), "es")[1]
    assert refused["detail"].startswith("La reserva venció")
    assert problem(errors.SlotTakenError(conflicting_id=7))[1]["fields"] == ["professional_id", "scheduled_at"]
    assert problem(errors.InvalidDataError("credits", 0, "must be above 0"))[1]["reason"] == "must be above 0"


def test_a_row_that_is_missing_and_one_of_another_tenant_look_alike():
    missing = problem(Student.DoesNotExist("…"))
    assert missing == problem(errors.CrossTenantError("…", bound=1, found=2)) == http_problem(404)
    assert problem(errors.UnknownTenantError("x")) == problem(errors.InactiveTenantError("x"))
    gone, foreign = (errors.ReferenceNotFoundError(said, fields=("student_id",)) for said in ("none", "another's"))
    assert problem(gone) == problem(foreign)


def test_what_passes_says_when_to_come_again_and_what_the_client_must_do_is_said_in_headers():
    for error in (errors.PoolTimeoutError(4, 30.0), errors.ConnectionLostError("x"), errors.DeadlockError("x")):
        status, body, headers = problem(error)
        assert (status, body["code"], headers["Retry-After"]) == (503, "unavailable", "1")
    assert problem(errors.TransactionFailedError("x", retryable=True))[0] == 503
    assert problem(errors.TransactionFailedError("x"))[0] == 500
    assert "Retry-After" not in problem(errors.TransactionFailedError("x"))[2]
    assert http_problem(401)[2]["WWW-Authenticate"] == "Bearer"


def test_a_wait_that_an_error_names_is_its_retry_after():
    class WaitError(RaycesError):
        code = "wait"
        retry_after = 41.6

    class StrangerError(errors.SlotTakenError):
        pass

    problems.declare(WaitError, status=429, en="Wait", es="Esperá")
    assert problem(WaitError("x"), "es")[1]["title"] == "Esperá"
    assert problem(WaitError("x"))[2]["Retry-After"] == "42"
    assert problem(StrangerError())[1] == problem(errors.SlotTakenError())[1]
    with pytest.raises(ConfigurationError):
        problems.declare(StrangerError, status=409)
    with pytest.raises(ConfigurationError):
        problems.declare(WaitError, status=200)


@walked("status", [*HTTP_CODES, 418, 500, 502, 504])
def test_any_status_is_a_problem(status):
    for language in LANGUAGES:
        answered, body, headers = http_problem(status, language)
        assert (answered, body["status"], headers["Content-Language"]) == (status, status, language)
        assert body["title"] == text(body["code"], language)
    assert "detail" not in http_problem(404, detail="Not Found")[1]
    assert http_problem(404, detail="no such room")[1]["detail"] == "no such room"


@walked(
    ("header", "wanted"),
    [
        ("es-AR,es;q=0.9,en;q=0.8", "es"),
        ("en-US,en;q=0.5", "en"),
        ("fr, es;q=0.1", "es"),
        ("ES", "es"),
        ("en;q=0.1, es;q=0.9", "es"),
        ("es;q=0, en", "en"),
        ("es;q=0", "en"),
        ("es;q=x, *", "en"),
        ("es;q=7", "en"),
        ("", "en"),
        (";;;,,q=", "en"),
        ("fr", "en"),
        ("es, en", "es"),
        ("x," * 5000 + "es", "en"),
    ],
)
def test_the_language_that_a_client_likes_best(header, wanted):
    assert preferred(header) == wanted


def test_the_host_may_speak_spanish_where_the_client_says_nothing():
    assert (preferred("", "es"), preferred("*", "es"), preferred("en", "es")) == ("es", "es", "en")


def test_codes_of_answers_are_told_apart_by_class_but_for_those_that_must_not_be():
    codes = {}
    for kind in CLASSES:
        if STATUS[kind] < 500 and not any(each in SAME_AS for each in kind.__mro__):
            codes.setdefault(problem(full_of_others(kind))[1]["code"], []).append(kind)
    assert [kinds for kinds in codes.values() if len(kinds) > 1] == []


@pytest.mark.parametrize("sent", ["\ud800", "ñ\udfff", "\\ud800", "\0"])
def test_whatever_a_client_sent_can_be_answered(sent):
    assert json.loads(encoded({"room": sent})) == {"room": sent}
