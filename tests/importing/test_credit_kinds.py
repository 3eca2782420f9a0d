"""Kinds of credit, packages and opening balances of each kind, imported and exported."""

from datetime import date

import pytest

from rayces_core import (
    CreditKind,
    CreditLot,
    CreditPackage,
    CreditTransaction,
    Service,
    User,
    credits,
    exporting,
    importing,
)
from tests.factory import make_kind, make_package
from tests.importing.world import NOW, make_centre, told

EVA = "eva@example.org"


@pytest.fixture
def centre(db, a):
    with db.tenant(a):
        make_centre()
        yield a


@pytest.fixture
def eva(centre):
    return User.get(User.email == EVA)


def test_kinds_are_known_by_their_name(centre):
    assert importing.run([{"name": "Speech"}, {"name": "Groups"}], CreditKind, now=NOW).created == 2
    assert importing.run([{"name": "SPEECH"}], CreditKind, now=NOW).created == 0
    assert told(importing.check([{"name": "x" * 201}], CreditKind, now=NOW)) == [(1, "name")]
    assert sorted(kind.name for kind in CreditKind.select()) == ["Groups", "Speech"]


def test_a_service_costs_the_kind_that_it_names(centre):
    kind = make_kind(name="Speech")
    rows = [{"name": "Therapy", "credit_kind": "speech"}, {"name": "Dance", "credit_kind": "Other"}]
    assert told(importing.run(rows, Service, now=NOW, on_error="skip")) == [(2, "credit_kind")]
    assert Service.get(Service.name == "Therapy").credit_kind == kind


def test_packages_say_how_long_they_hold(centre):
    kind = make_kind(name="Speech")
    row = {"name": "Ten", "credits": "10", "price": "$ 100.000", "valid_days": "90", "credit_kind": "Speech"}
    assert importing.run([row], CreditPackage, now=NOW).created == 1
    made = CreditPackage.get()
    assert (made.credits, made.price_cents, made.currency, made.valid_days) == (10, 10_000_000, "ARS", 90)
    assert (made.credit_kind, made.active) == (kind, True)
    again = importing.run(
        [row | {"valid_days": None, "valid_until": "20/12/2031", "tax_basis_points": "1050"}],
        CreditPackage,
        now=NOW,
        update=True,
    )
    assert (again.created, again.updated) == (0, 1)
    made = CreditPackage.get()
    assert (made.valid_days, made.valid_until, made.tax_basis_points) == (None, date(2031, 12, 20), 1050)


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"credits": "0"}, "credits"),
        ({"valid_days": "-1"}, "valid_days"),
        ({"tax_basis_points": "-1"}, "tax_basis_points"),
        ({"valid_days": "1", "valid_until": "20/12/2031"}, "valid_until"),
        ({"price": "-1"}, "price"),
        ({"currency": "ARS"}, "currency"),
        ({"name": "x" * 201}, "name"),
        ({"credit_kind": "Dance"}, "credit_kind"),
    ],
)
def test_what_no_package_can_be_is_told_by_row_and_column(centre, wrong, column):
    row = {"name": "Ten", "credits": "10"} | wrong
    assert told(importing.check([row], CreditPackage, now=NOW)) == [(1, column)]


def test_opening_balances_are_of_a_kind(centre, eva):
    kind = make_kind(name="Speech")
    rows = [
        {"user": EVA, "credits": "8", "credit_kind": "speech"},
        {"user": EVA, "credits": "3"},
        {"user": EVA, "credits": "2", "credit_kind": "Dance", "reference": "17"},
    ]
    report = importing.run(rows, "credits", now=NOW, on_error="skip")
    assert (report.created, told(report)) == (2, [(3, "credit_kind")])
    assert importing.run(rows[:2], "credits", now=NOW).created == 0
    assert (credits.balance(eva), credits.balance(eva, kind=kind)) == (3, 8)


def test_what_is_exported_names_kinds_and_packages(centre, eva, tmp_path):
    kind = make_kind(name="Speech")
    package = make_package(name="Ten", credit_kind=kind, valid_days=5)
    credits.purchase_package(eva, package)
    exported = {
        what: (exporting.export(what, tmp_path / f"{number}.csv"), (tmp_path / f"{number}.csv").read_text())[1]
        for number, what in enumerate((CreditKind, CreditPackage, CreditLot, CreditTransaction))
    }
    assert "Speech" in exported[CreditKind]
    assert "Ten,Speech,10" in exported[CreditPackage]
    assert f"{EVA},Speech,Ten,10,10" in exported[CreditLot]
    assert f"{EVA},10,Speech" in exported[CreditTransaction]
    assert importing.run(tmp_path / "1.csv", CreditPackage, now=NOW).created == 0
