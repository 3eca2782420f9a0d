"""How much of a walk is walked: `make test` takes a representative, `make test-all` all of it.

A fact that is proved over many examples, rounds or places keeps all its assertions in both; only their number differs.
A test that is whole or nothing is marked `@pytest.mark.exhaustive` and names the smaller one that `make test` keeps.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

EVERYTHING = os.environ.get("RAYCES_TESTS") == "all"

Size = TypeVar("Size")
# What Hypothesis finds unhealthy on a machine that stops, or when its dice fall so.
BY_CHANCE = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


def quick_or_whole(quick: Size, whole: Size) -> Size:
    """The size for this run."""
    return whole if EVERYTHING else quick


def exhaustive(*values: Any) -> list[Any]:
    """Parameters for `make test-all` only, beside those that `make test` keeps."""
    return [pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


def first(count: int, cases: Iterable[Any]) -> list[Any]:
    """Parameters that are examples of one kind: the first of them, and the others for `make test-all` only.

    A case of several parameters is a tuple.
    """
    cases = list(cases)
    others = (each if isinstance(each, tuple) else (each,) for each in cases[count:])
    return cases[:count] + [pytest.param(*each, marks=pytest.mark.exhaustive) for each in others]


def examples(quick: int, whole: int, **options: Any) -> settings:
    """Hypothesis settings without a deadline: a few examples that are always the same, or many that are new."""
    count, unhealthy = quick_or_whole(quick, whole), [*BY_CHANCE, *options.pop("suppress_health_check", ())]
    return settings(
        max_examples=count, deadline=None, derandomize=not EVERYTHING, suppress_health_check=unhealthy, **options
    )
