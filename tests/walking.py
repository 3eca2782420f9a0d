"""Many small cases in one test: what pytest spends on a test of its own is more than a case of a millisecond takes."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.sizes import EVERYTHING

ParameterSet = type(pytest.param())

MOST_FAILURES = 10


def walked(
    names: str | tuple[str, ...], cases: Iterable[Any], *, anew: str | None = None, ids: Any = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Like `pytest.mark.parametrize(names, cases, ids=ids)`, but one test that walks all and names each that fails.

    It stops at the tenth that fails. The cases share the test's fixtures, so they have to leave them as they were. Only
    what `anew` names, as in "pair", is made for each case: by the fixture `make_pair`, which gives a context manager.
    What is marked exhaustive is left to `make test-all`.
    """
    maker = f"make_{anew}" if anew else None
    named = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    every = [
        (case, label)
        for case, label in _labelled(cases, ids, named)
        if EVERYTHING or not any(mark.name == "exhaustive" for mark in _marks(case))
    ]

    def walking(test: Callable[..., None]) -> Callable[..., None]:
        once = _with_its_own(test, anew, maker) if anew and maker else test

        def whole(**fixtures: Any) -> None:
            failures = (_failure(once, {**fixtures, **_arguments(named, case)}, label) for case, label in every)
            failed = list(itertools.islice(filter(None, failures), MOST_FAILURES))
            if failed:
                raise BaseExceptionGroup(f"{len(failed)} of {len(every)} cases fail", failed)

        signature = inspect.signature(test)
        rest = [
            parameter.replace(name=maker) if maker and parameter.name == anew else parameter
            for parameter in signature.parameters.values()
            if parameter.name not in named
        ]
        whole.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        whole.__name__, whole.__doc__, whole.__module__ = test.__name__, test.__doc__, test.__module__
        whole.__qualname__, whole.__dict__["pytestmark"] = test.__qualname__, getattr(test, "pytestmark", [])
        return whole

    return walking


def _with_its_own(test: Callable[..., None], anew: str, maker: str) -> Callable[..., None]:
    def once(**arguments: Any) -> None:
        with arguments.pop(maker)() as made:
            test(**arguments, **{anew: made})

    return once


def _marks(case: Any) -> Iterable[Any]:
    return case.marks if isinstance(case, ParameterSet) else ()


def _arguments(named: Iterable[str], case: Any) -> dict[str, Any]:
    named = list(named)
    values = case.values if isinstance(case, ParameterSet) else [case] if len(named) == 1 else case
    return dict(zip(named, values, strict=True))


def _failure(test: Callable[..., None], arguments: dict[str, Any], label: str) -> BaseException | None:
    try:
        test(**arguments)
    except (Exception, pytest.fail.Exception) as error:
        error.add_note(f"Case: {label}")
        return error
    return None


def _labelled(cases: Iterable[Any], ids: Any, named: Iterable[str]) -> Iterable[tuple[Any, str]]:
    """Each case with its name: its own, or by `ids` (a name for each, or a function of each value), or as it is."""
    named = list(named)
    if ids is None or callable(ids):
        return [(case, _own_name(case) or _name(_arguments(named, case).values(), ids or _written)) for case in cases]
    return [(case, _own_name(case) or str(name)) for case, name in zip(cases, ids, strict=True)]


def _own_name(case: Any) -> str | None:
    return str(case.id) if isinstance(case, ParameterSet) and case.id else None


def _name(values: Iterable[Any], called: Callable[[Any], Any]) -> str:
    return "-".join(str(called(value) or _written(value)) for value in values)


def _written(value: Any) -> str:
    return str(getattr(value, "name", None) or repr(value))
