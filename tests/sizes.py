"""How much of a walk is walked: `make test` takes a representative, `make test-all` all of it.

A fact that is proved over many examples, rounds or places keeps all its assertions in both; only their number differs.
A test that is whole or nothing is marked `@pytest.mark.exhaustive` and names the smaller one that `make test` keeps.
"""

from __future__ import annotations

import os
from typing import Any, TypeVar

import pytest
from hypothesis import settings

EVERYTHING = os.environ.get("RAYCES_TESTS") == "all"

Size = TypeVar("Size")


def quick_or_whole(quick: Size, whole: Size) -> Size:
    """The size for this run."""
    return whole if EVERYTHING else quick


def exhaustive(*values: Any) -> list[Any]:
    """Parameters for `make test-all` only, beside those that `make test` keeps."""
    return [pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


def examples(quick: int, whole: int, **options: Any) -> settings:
    """Hypothesis settings without a deadline: a few examples that are always the same, or many that are new."""
    count = quick_or_whole(quick, whole)
    return settings(max_examples=count, deadline=None, derandomize=not EVERYTHING, **options)
