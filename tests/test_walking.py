"""A walk of many cases fails where one of them does, and says which."""

import inspect
from contextlib import contextmanager

import pytest

from tests.sizes import EVERYTHING, exhaustive
from tests.walking import MOST_FAILURES, walked


def test_every_case_is_walked_and_each_that_fails_is_named():
    seen = []

    @walked("case", [1, 2, 3, 4])
    def walk(fixture, case):
        seen.append((fixture, case))
        assert case != 2
        with pytest.raises(ValueError, match="x"):
            if case != 3:
                raise ValueError("x")

    with pytest.raises(BaseExceptionGroup, match="2 of 4 cases fail") as caught:
        walk(fixture="f")

    assert seen == [("f", case) for case in (1, 2, 3, 4)]
    assert [error.__notes__[-1] for error in caught.value.exceptions] == ["Case: 2", "Case: 3"]


def test_a_walk_takes_the_fixtures_of_its_test_only():
    @walked("case", [])
    def walk(request, case): ...

    assert list(inspect.signature(walk).parameters) == ["request"]


def test_a_walk_of_which_everything_fails_does_not_go_on_for_ever():
    @walked("case", range(1000))
    def walk(case):
        assert case < 0

    with pytest.raises(BaseExceptionGroup) as caught:
        walk()
    assert len(caught.value.exceptions) == MOST_FAILURES


@pytest.mark.parametrize("ids", [["first", "second"], lambda case: {5: "first", 6: "second"}[case]])
def test_cases_are_called_as_pytest_calls_them(ids):
    @walked("case", [5, 6], ids=ids)
    def walk(case):
        assert case == 5

    with pytest.raises(BaseExceptionGroup) as caught:
        walk()
    assert caught.value.exceptions[0].__notes__ == ["Case: second"]


def test_too_few_names_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        walked("case", [5, 6], ids=["first"])


def test_several_names_and_named_cases_are_given_as_pytest_gives_them():
    seen = []

    @walked("number, word", [(1, "one"), pytest.param(2, "two", id="the second")])
    def walk(number, word):
        seen.append((number, word))
        assert number == 1

    with pytest.raises(BaseExceptionGroup) as caught:
        walk()
    assert seen == [(1, "one"), (2, "two")]
    assert caught.value.exceptions[0].__notes__[-1] == "Case: the second"


def test_what_is_exhaustive_is_walked_when_everything_is():
    seen = []

    @walked("case", [1, *exhaustive(2, 3)])
    def walk(case):
        seen.append(case)

    walk()
    assert seen == ([1, 2, 3] if EVERYTHING else [1])


def test_what_is_made_anew_is_made_for_each_case_and_ended_with_it():
    happened = []

    @contextmanager
    def make_world():
        happened.append("made")
        yield len(happened)
        happened.append("ended")

    @walked("case", [1, 2], anew="world")
    def walk(world, case):
        happened.append((world, case))

    assert list(inspect.signature(walk).parameters) == ["make_world"]
    walk(make_world=make_world)
    assert happened == ["made", (1, 1), "ended", "made", (4, 2), "ended"]
