"""The desk's and families' further pages in a browser: groups, packages, weekly hours, series, rules, accounts."""

import csv
from datetime import timedelta
from pathlib import Path

import pytest

from tests.examples.conftest import choose, next_wednesday

pytestmark = pytest.mark.exhaustive


def gather(desk, base, name, when, places, professional="Paula"):
    """Make a group at the desk, and give its card."""
    desk.goto(f"{base}/groups")
    desk.fill("#gather [name=name]", name)
    choose(desk.locator("#gather"), "professional", professional)
    desk.fill("#gather [name=when]", when)
    desk.fill("#gather [name=capacity]", str(places))
    desk.click("#gather button")
    desk.wait_for_selector(".flash.good")
    return desk.locator("#groups > .card", has_text=name)


def test_two_families_take_a_groups_last_place_and_one_of_them_is_told(sign_in):
    desk, base = sign_in("graciela")
    card = gather(desk, base, "Coro", f"{next_wednesday()}T17:00", 1)
    pages = [sign_in(name)[0] for name in ("lucia", "carolina")]
    for page in pages:
        page.goto(f"{base}/family/groups")
    takes = [page.locator("#groups > .card", has_text="Coro").get_by_role("button") for page in pages]
    for take in takes:
        take.click(no_wait_after=True)
    for page in pages:
        page.wait_for_selector(".flash")
    assert sorted(page.locator(".flash.good").count() for page in pages) == [0, 1]
    refused = next(page for page in pages if not page.locator(".flash.good").count())
    assert refused.url == f"{base}/family/groups"
    assert refused.locator("#groups > .card", has_text="Coro").count() == 0
    desk.reload()
    assert "Quedan 0 de 1 lugares" in card.inner_text()


def test_the_desk_moves_a_group_with_everybody_in_it_and_cancels_it(sign_in):
    desk, base = sign_in("graciela")
    day = next_wednesday() + timedelta(days=21)
    card = gather(desk, base, "Teatro", f"{day}T16:00", 2)
    choose(card.locator(".put"), "student", "Lola")
    card.get_by_role("button", name="Agregar").click()
    desk.wait_for_selector("text=está en el grupo")
    family, _ = sign_in("lucia")
    card.locator("summary").click()
    card.locator(".move [name=when]").fill(f"{day}T18:00")
    card.locator(".move button").click()
    desk.wait_for_selector("text=Cambiado, con todos")
    family.goto(f"{base}/family")
    assert "18:00" in family.locator(".card", has_text="Teatro").inner_text()
    card.locator("summary").click()
    card.locator(".cancel button").click()
    desk.wait_for_selector("text=El grupo está cancelado")
    assert card.count() == 0
    family.reload()
    assert family.locator(".card", has_text="Teatro").count() == 0


def test_the_desk_makes_a_kind_and_a_package_of_it_that_a_family_buys(sign_in):
    desk, base = sign_in("tomas")
    desk.goto(f"{base}/packages")
    desk.fill("#kind [name=name]", "Pileta")
    desk.click("#kind button")
    desk.wait_for_selector("#kinds li:has-text('Pileta')")
    desk.fill("#new [name=name]", "Diez de pileta")
    desk.fill("#new [name=how_many]", "10")
    choose(desk.locator("#new"), "kind", "Pileta")
    desk.fill("#new [name=price]", "80000,50")
    desk.fill("#new [name=days]", "60")
    desk.click("#new button")
    desk.wait_for_selector("#packages > .card:has-text('Diez de pileta'):has-text('80.000,50')")

    page, _ = sign_in("diego")
    page.goto(f"{base}/family/credits")
    page.locator("#packages > .card", has_text="Diez de pileta").get_by_role("button").click()
    page.wait_for_url("**/pay/**")
    assert "80.000,50" in page.inner_text("main")
    page.click("text=Pagar")
    page.wait_for_selector(".flash.good")
    assert page.locator("li.kind", has_text="Pileta").locator("strong").inner_text() == "10"
    assert page.locator("li.lot").count() == 1

    # It is sold no more, which a page that is stale is told.
    stale = page.context.new_page()
    stale.goto(f"{base}/family/credits")
    desk.locator("#packages > .card", has_text="Diez de pileta").get_by_role("button").click()
    desk.wait_for_selector("#packages > .card:has-text('Diez de pileta'):has-text('no se vende')")
    stale.locator("#packages > .card", has_text="Diez de pileta").get_by_role("button").click()
    stale.wait_for_selector(".flash:not(.good)")
    page.reload()
    assert page.locator("#packages > .card", has_text="Diez de pileta").count() == 0


def test_the_desk_gives_weekly_hours_from_a_day_on_and_the_professional_sees_them(sign_in):
    desk, base = sign_in("nicolas", "girasol")
    desk.goto(f"{base}/schedules")
    card = desk.locator("#schedules > .card", has_text="Sofía")
    for hours, is_taken in (("de 9 a 12", False), ("9:00-12:00, 13:00 - 15:30", True)):
        card.locator("summary").click()
        card.locator("details [name=start]").fill("2031-03-03")
        card.locator("[name=friday]").fill(hours)
        card.locator("details button").click()
        desk.wait_for_selector(f".flash{'.good' if is_taken else ':not(.good)'}")
    assert "Viernes 09:00-12:00, 13:00-15:30" in card.inner_text()

    own, _ = sign_in("sofia", "girasol")
    own.goto(f"{base}/hours")
    assert "Viernes 09:00-12:00, 13:00-15:30" in own.inner_text("#weekly")
    assert own.goto(f"{base}/schedules").status == 403
    card.get_by_role("button", name="Quitar").click()
    desk.wait_for_selector(".flash.good")
    assert "Viernes" not in card.locator(".plain").all_inner_texts()


def test_a_professional_has_the_usual_hours_on_a_day_again(sign_in):
    page, base = sign_in("ramiro", "girasol")
    page.goto(f"{base}/hours")
    page.fill("#other [name=day]", "2031-05-10")
    page.click("#other button")
    page.wait_for_selector("#overrides > .card:has-text('10 de mayo')")
    page.locator("#overrides > .card", has_text="10 de mayo").get_by_role("button").click()
    page.wait_for_selector("#overrides:not(:has(.card:has-text('10 de mayo')))", state="attached")


def test_the_desk_books_with_a_device_and_a_second_professional_who_are_taken_then(sign_in):
    desk, base = sign_in("tomas")
    day = next_wednesday() + timedelta(days=7)
    for professional, child, is_free in (("Paula", "Lola", True), ("Martín", "Bruno", False)):
        desk.goto(f"{base}/desk?day={day}")
        desk.click("main > details summary")
        form = desk.locator("form[action='/desk/sessions']")
        choose(form, "student", child)
        choose(form, "professional", professional)
        choose(form, "device", "Tablet")
        if is_free:
            choose(form, "second_professional", "Martín")
            choose(form, "service", "Speech therapy")
        form.locator("[name=when]").fill(f"{day}T14:30")
        form.locator("button").click()
        desk.wait_for_selector(f".flash{'.good' if is_free else ':not(.good)'}")
    told = desk.locator(".card", has_text="Lola").inner_text()
    assert all(each in told for each in ("Paula Ríos", "Martín Quiroga", "Tablet", "Speech therapy", "Room 2"))
    other, _ = sign_in("martin")
    other.goto(f"{base}/week?day={day}")
    assert "Lola" in other.inner_text("main")


def test_the_desk_plans_a_series_sees_what_is_in_the_way_and_books_the_others(sign_in):
    desk, base = sign_in("nicolas", "girasol")
    first = next_wednesday()
    desk.goto(f"{base}/absences")
    desk.fill("#close [name=day]", f"{first + timedelta(days=7)}")
    desk.fill("#close [name=name]", "Limpieza")
    desk.click("#close button")
    desk.wait_for_selector(".flash.good")
    desk.goto(f"{base}/series")
    desk.click("a.button")
    desk.wait_for_selector("#plan")
    choose(desk.locator("#plan"), "student", "Delfina")
    choose(desk.locator("#plan"), "professional", "Ramiro")
    desk.fill("#plan [name=when]", f"{first}T17:00")
    desk.check("#plan [value=wednesday]")
    desk.fill("#plan [name=until]", f"{first + timedelta(days=14)}")
    desk.click("#plan button")
    desk.wait_for_selector("#preview .card")
    assert "no se pueden reservar: 1" in desk.inner_text("#preview")
    desk.get_by_role("button", name="Reservar las demás").dblclick()
    desk.wait_for_selector("text=Reservadas: 2. Quedaron afuera: 1.")
    assert desk.locator("#sessions > .card").count() == 2
    desk.go_back()
    desk.wait_for_selector("#plan")


def test_the_accountant_gets_a_table_of_a_period(sign_in):
    desk, base = sign_in("adriana", "girasol")
    desk.goto(f"{base}/invoices")
    with desk.expect_download() as download:
        desk.click("#table button")
    rows = list(csv.DictReader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))
    assert {row["kind"] for row in rows} == {"invoice", "credit_note"}
    desk.fill("#period [name=first]", "2020-01-01")
    desk.fill("#period [name=last]", "2020-01-31")
    desk.click("#period button")
    desk.wait_for_selector("#due:has-text('Nada')")
    assert desk.input_value("#period [name=first]") == "2020-01-01"


def test_the_desk_takes_a_rooms_block_away(sign_in):
    desk, base = sign_in("adriana", "girasol")
    desk.goto(f"{base}/rooms")
    card = desk.locator("li.card", has_text="Garden room")
    assert card.locator(".blocked").count() == 1
    card.locator(".blocked button").click()
    desk.wait_for_selector(".flash.good")
    assert card.locator(".blocked").count() == 0


def test_an_admin_gives_the_centre_rules_and_a_form_that_is_refused_is_there_again(sign_in):
    desk, base = sign_in("adriana", "girasol")
    desk.goto(f"{base}/absences")
    assert desk.get_by_role("button", name="feriados").count() == 0
    desk.goto(f"{base}/settings")
    for country, is_one in (("QQ", False), ("AR", True)):
        desk.fill("[name=holiday_country]", country)
        desk.click("#settings button")
        desk.wait_for_selector(f".flash{'.good' if is_one else ':not(.good)'}")
        assert desk.locator("#settings").count() == 1
    desk.goto(f"{base}/absences")
    desk.get_by_role("button", name="feriados").click()
    desk.wait_for_selector("#closed > .card:has-text('25 de diciembre')")
    staff, _ = sign_in("nicolas", "girasol")
    assert staff.goto(f"{base}/settings").status == 403


def test_a_page_that_a_form_has_made_is_there_when_it_is_asked_for_again(sign_in):
    page, base = sign_in("hernan")
    page.goto(f"{base}/calendars")
    page.click("#feed button")
    page.wait_for_selector("#address")
    assert page.reload().status == 200
    assert page.url == f"{base}/calendars"
    assert page.locator("#address").count() == 0

    desk, base = sign_in("adriana", "girasol")
    desk.goto(f"{base}/people")
    for name in ("keep", "duplicate"):
        choose(desk.locator("#merge"), name, "Julia Carranza")
    desk.click("#merge button")
    desk.wait_for_selector(".flash")
    assert desk.reload().status == 422  # nobody is merged with oneself, which the page says again
