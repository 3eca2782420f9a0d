"""Many small cases in one test: what pytest spends on a test of its own is more than a case of a millisecond takes."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import pytest

MOST_FAILURES = 10


def walked(name: str, cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Like `pytest.mark.parametrize(name, cases)`, but one test that walks all cases and names each that fails.

    It stops at the tenth that fails. The cases share the test's fixtures, so they have to leave them as they were.
    """
    every = list(cases)

    def walking(test: Callable[..., None]) -> Callable[..., None]:
        def whole(**fixtures: Any) -> None:
            failures = (_failure(test, {**fixtures, name: case}, case) for case in every)
            failed = list(itertools.islice(filter(None, failures), MOST_FAILURES))
            if failed:
                raise BaseExceptionGroup(f"{len(failed)} of {len(every)} cases fail", failed)

        signature = inspect.signature(test)
        rest = [parameter for parameter in signature.parameters.values() if parameter.name != name]
        whole.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        whole.__name__, whole.__doc__, whole.__module__ = test.__name__, test.__doc__, test.__module__
        whole.__qualname__, whole.__dict__["pytestmark"] = test.__qualname__, getattr(test, "pytestmark", [])
        return whole

    return walking


def _failure(test: Callable[..., None], arguments: dict[str, Any], case: Any) -> BaseException | None:
    try:
        test(**arguments)
    except (Exception, pytest.fail.Exception) as error:
        error.add_note(f"Case: {getattr(case, 'name', None) or case!r}")
        return error
    return None
