"""The tree of errors: one root, names that say what they are, and facts that survive the way between processes."""

import pickle

import pytest

import rayces_core
from rayces_core import errors

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RaycesError)]

MADE = [
    errors.PoolTimeoutError(5, 1.5),
    errors.UnknownTenantError("north"),
    errors.InactiveTenantError("north"),
    errors.CrossTenantError("no", bound=1, found=2),
    errors.InvalidDataError("User.email", "x", "no @"),
    errors.NaiveDatetimeError("Appointment.scheduled_at", None),
    errors.DuplicateError("taken", constraint="c", table="users", fields=("email",)),
    errors.TenantNotSetError(),
    errors.RaycesError("plain"),
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_public_named_documented_and_in_the_tree(kind):
    assert kind.__name__.endswith("Error")
    assert kind.__doc__
    assert getattr(rayces_core, kind.__name__) is kind
    assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_facts_through_pickle(error):
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
