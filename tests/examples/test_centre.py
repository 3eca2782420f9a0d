"""The example is used in a browser: a family signs in, books and pays; others see what is theirs, and no more."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import icalendar
import pytest

from tests.examples.conftest import HERE, OF_ITS_OWN, PASSWORD, PHONE, choose, next_wednesday
from tests.patience import wait_until

pytestmark = pytest.mark.exhaustive


def test_a_family_books_a_time_and_another_tab_that_is_stale_is_told(sign_in):
    page, base = sign_in("lucia")
    page.goto(f"{base}/family")
    page.click("a.button >> nth=0")
    page.wait_for_selector(".slots button")
    stale = page.context.new_page()
    stale.goto(page.url)
    page.click(".slots button >> nth=0")
    page.wait_for_selector(".flash.good")
    assert "Reservado" in page.inner_text(".flash")
    stale.click(".slots button >> nth=0")
    stale.wait_for_selector(".flash")
    assert stale.locator(".flash.good").count() == 0


def test_credits_are_bought_by_a_payment_that_calls_the_webhook(sign_in):
    page, base = sign_in("carolina")
    page.goto(f"{base}/family/credits")
    before = int(page.inner_text("main p strong"))
    page.click("main form button")
    page.wait_for_url("**/pay/**")
    page.click("text=Pagar")
    page.wait_for_selector(".flash.good")
    assert int(page.inner_text("main p strong")) == before + 4


def test_two_centres_in_one_browser_are_two(sign_in):
    page, base = sign_in("lucia")
    other, other_base = sign_in("julia", "girasol", page.context)
    assert "Espacio Girasol" in other.inner_text("header")
    page.goto(f"{base}/family")
    assert "Centro Arrayanes" in page.inner_text("header")
    assert other.goto(f"{other_base}/family").status == 200


def test_a_session_that_is_ended_elsewhere_is_over_and_the_page_says_so(sign_in):
    page, base = sign_in("hernan", **OF_ITS_OWN)
    elsewhere, _ = sign_in("hernan", **OF_ITS_OWN)
    with elsewhere.expect_navigation():
        elsewhere.evaluate(
            "() => { const f = document.createElement('form'); f.method = 'post'; f.action = '/sign-out';"
            " f.innerHTML = '<input name=everywhere value=true>'; document.body.append(f); f.submit() }"
        )
    page.click("nav a >> nth=1")
    page.wait_for_selector("[name=password]")
    assert "La sesión terminó" in page.inner_text(".flash")
    page.goto(f"{base}/family")
    assert page.url.endswith("/sign-in")
    assert page.locator(".flash").count() == 0


@pytest.mark.parametrize("scripts", [True, False], ids=["htmx", "plain forms"])
def test_a_double_click_books_once(sign_in, scripts):
    page, base = sign_in("diego", java_script_enabled=scripts)
    page.goto(f"{base}/family")
    before = page.locator(".card.state-pre_confirmed").count()
    page.click("a.button >> nth=1")
    page.wait_for_selector(".slots button")
    page.dblclick(".slots button >> nth=-1")
    page.wait_for_selector(".flash.good")
    page.goto(f"{base}/family")
    assert page.locator(".card.state-pre_confirmed").count() == before + 1


def test_the_keyboard_alone_signs_in_books_and_cancels(port, browser):
    with contextlib.closing(browser.new_context(viewport=PHONE, locale="es-AR")) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"http://arrayanes.localhost:{port}/sign-in")
        page.bring_to_front()
        page.wait_for_function("document.activeElement.name === 'email'")
        page.keyboard.type("carolina@arrayanes.example.org")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_selector("nav")
        assert tab_to(page, "main a.button").startswith("Reservar")
        page.keyboard.press("Enter")
        page.wait_for_selector(".slots button")
        tab_to(page, ".slots button")
        page.keyboard.press("Space")
        page.wait_for_selector(".flash.good")
        assert "Reservado" in page.inner_text(".flash")
        assert tab_to(page, ".card.state-pre_confirmed form[action$=cancel] button").startswith("Cancelar")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Sesión cancelada")


FOCUSED = """() => {
  const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e)
  const outline = s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2
  return {text: e.innerText, outline, shown: r.width > 1 && r.bottom > 0 && r.top < innerHeight}
}"""


def tab_to(page, selector):
    """Press Tab until an element has the focus, which is seen wherever it stops; returns what the element says."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        assert focused["outline"], focused
        assert focused["shown"], focused
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return focused["text"]
    raise AssertionError(f"no Tab leads to {selector}")


def test_a_family_books_a_service_of_those_it_may_book_with_who_gives_it(sign_in):
    page, base = sign_in("lucia")
    page.goto(f"{base}/family")
    page.click("a.button >> nth=0")
    page.wait_for_selector("select[name=service]")
    offered = page.locator("select[name=service] option").all_inner_texts()
    assert {"Child psychology, 50 min", "Speech therapy, 45 min"} <= set(offered)
    assert not any("First evaluation" in each for each in offered)
    page.select_option("select[name=service]", label="Child psychology, 50 min")
    page.click("main form button >> nth=0")
    page.wait_for_url("**service=**")
    assert len(page.locator("select[name=professional] option").all()) == 1
    page.wait_for_selector(".slots button")
    page.click(".slots button >> nth=-1")
    page.wait_for_selector(".flash.good")
    assert "Quiroga" in page.inner_text("main")


def test_the_desk_adds_a_room_and_books_with_it_and_nobody_else_has_it_then(sign_in):
    page, base = sign_in("graciela")
    page.goto(f"{base}/rooms")
    page.fill("[name=name]", "Sala azul")
    page.fill("[name=features]", "Espejo, rampa")
    page.click("main > form.stack button")
    page.wait_for_selector(".flash.good")
    assert "espejo, rampa" in page.inner_text("main")

    day = next_wednesday()
    for professional, child, taken in (("Paula", "Lola", False), ("Martín", "Bruno", True)):
        page.goto(f"{base}/desk?day={day}")
        page.click("main > details summary")
        form = page.locator("form[action='/desk/sessions']")
        choose(form, "student", child)
        choose(form, "professional", professional)
        choose(form, "room", "Sala azul")
        form.locator("[name=when]").fill(f"{day}T15:00")
        form.locator("button").click()
        page.wait_for_selector(".flash")
        told = page.inner_text(".flash")
        assert ("La sala está ocupada" in told) == taken
        assert ("Sala azul" in told) != taken

    # It is closed, and is not offered any more.
    page.goto(f"{base}/rooms")
    page.locator("li.card", has_text="Sala azul").locator(".actions button").click()
    page.wait_for_selector(".flash.good")
    page.goto(f"{base}/desk?day={day}")
    page.click("main > details summary")
    assert page.locator("form[action='/desk/sessions'] [name=room] option", has_text="Sala azul").count() == 0


def test_the_desk_blocks_a_room_for_a_morning_and_nobody_has_it_then(sign_in):
    page, base = sign_in("graciela")
    page.goto(f"{base}/rooms")
    page.fill("main > form [name=name]", "Sala verde")
    page.click("main > form button")
    page.wait_for_selector(".flash.good")
    day, card = next_wednesday(), page.locator("li.card", has_text="Sala verde")
    card.locator("summary").click()
    card.locator("[name=day]").fill(f"{day}")
    card.locator("[name=start]").fill("08:00")
    card.locator("[name=end]").fill("16:00")
    card.get_by_role("button", name="Bloquear", exact=True).click()
    page.wait_for_selector("text=Sesiones que la tienen entonces: 0")
    assert "08:00" in page.locator("li.card", has_text="Sala verde").inner_text()
    page.goto(f"{base}/desk?day={day}")
    page.click("main > details summary")
    form = page.locator("form[action='/desk/sessions']")
    choose(form, "student", "Lola")
    choose(form, "professional", "Paula")
    choose(form, "room", "Sala verde")
    form.locator("[name=when]").fill(f"{day}T14:00")
    form.locator("button").click()
    page.wait_for_selector(".flash:not(.good)")


def test_the_desk_gathers_a_group_puts_a_child_in_and_takes_it_out_and_the_family_sees_it(sign_in):
    desk, base = sign_in("graciela")
    desk.goto(f"{base}/groups")
    desk.fill("#gather [name=name]", "Juego libre")
    choose(desk.locator("#gather"), "professional", "Paula")
    desk.fill("#gather [name=when]", f"{next_wednesday() + timedelta(days=7)}T16:00")
    desk.fill("#gather [name=capacity]", "2")
    desk.click("#gather button")
    desk.wait_for_selector(".flash.good")
    card = desk.locator("#groups > .card", has_text="Juego libre")
    assert "Quedan 2 de 2 lugares" in card.inner_text()
    choose(card.locator(".put"), "student", "Bruno")
    card.get_by_role("button", name="Agregar").click()
    desk.wait_for_selector("text=está en el grupo")
    assert "Quedan 1 de 2 lugares" in card.inner_text()

    family, _ = sign_in("carolina")
    family.goto(f"{base}/family")
    assert "Juego libre" in family.inner_text("main")
    assert family.goto(f"{base}/groups").status == 403

    card.get_by_role("button", name="Quitar").click()
    desk.wait_for_selector("text=ya no está en el grupo")
    assert "Nadie todavía" in card.inner_text()
    family.goto(f"{base}/family")
    assert "Juego libre" not in family.inner_text("main")


def test_a_professional_asks_for_time_off_and_the_desk_sees_what_it_hits(sign_in):
    page, base = sign_in("paula")
    page.goto(f"{base}/hours")
    page.fill("#ask [name=first]", "2031-05-05")
    page.fill("#ask [name=last]", "2031-05-06")
    page.fill("#ask [name=start]", "10:00")
    page.fill("#ask [name=end]", "12:00")
    page.fill("#ask [name=note]", "Mudanza")
    page.click("#ask button")
    page.wait_for_selector(".flash.good")
    assert "pedido" in page.inner_text(".card.state-requested .state")

    desk, _ = sign_in("tomas")
    desk.goto(f"{base}/absences")
    card = desk.locator("#waiting > .card", has_text="Mudanza")
    assert "Afecta 0 sesiones y 0 grupos" in card.locator(".hits").inner_text()
    card.get_by_role("button", name="Aprobar").click()
    desk.wait_for_selector(".flash.good")
    assert desk.locator("#waiting > .card", has_text="Mudanza").count() == 0
    page.reload()
    assert "aprobado" in page.locator(".card", has_text="Mudanza").locator(".state").inner_text()

    desk.locator("#granted > .card", has_text="Mudanza").get_by_role("button", name="Anular").click()
    desk.wait_for_selector("text=se puede reservar de nuevo")
    assert desk.locator("#granted > .card", has_text="Mudanza").count() == 0


def test_a_professional_gives_a_day_other_hours_and_the_desk_closes_one(sign_in):
    page, base = sign_in("paula")
    page.goto(f"{base}/hours")
    page.fill("#other [name=day]", "2031-05-10")
    page.fill("#other [name=start]", "09:00")
    page.fill("#other [name=end]", "11:00")
    page.click("#other button")
    page.wait_for_selector(".flash.good")
    assert "09:00" in page.locator("#overrides > .card", has_text="10 de mayo").inner_text()
    assert page.goto(f"{base}/absences").status == 403

    desk, _ = sign_in("tomas")
    desk.goto(f"{base}/absences")
    desk.fill("#close [name=day]", "2031-05-12")
    desk.fill("#close [name=name]", "Feria")
    desk.click("#close button")
    desk.wait_for_selector(".flash.good")
    closed = desk.locator("#closed > .card", has_text="Feria")
    closed.get_by_role("button", name="Se trabaja").click()
    desk.wait_for_selector("text=Ese día se trabaja")


def _wait_for_a_time(page, base):
    """Ask for any hour of Paula's, and give the card of the request."""
    page.goto(f"{base}/family/waiting")
    form = page.locator("#ask")
    choose(form, "professional", "Paula")
    form.locator("[name=until]").fill((datetime.now(UTC) + timedelta(days=20)).date().isoformat())
    form.locator("[value=saturday]").uncheck()
    form.get_by_role("button", name="Esperar").click()
    page.wait_for_selector(".flash.good")
    return page.locator("#requests > .card").last


def test_a_family_waits_is_offered_a_time_and_takes_it(sign_in):
    page, base = sign_in("lucia")
    card = _wait_for_a_time(page, base)
    assert "en espera" in card.locator(".state").inner_text()
    assert "Sábado" not in card.inner_text()
    assert page.goto(f"{base}/waiting").status == 403

    desk, _ = sign_in("tomas")
    desk.goto(f"{base}/waiting")
    assert desk.locator("#line > .card", has_text="Lucía").count() == 1
    desk.get_by_role("button", name="Ofrecer lo que está libre").click()
    desk.wait_for_selector("text=Ofertas hechas: 1")
    assert "ofrecido" in desk.locator("#line > .card", has_text="Lucía").locator(".state").first.inner_text()

    page.goto(f"{base}/family/waiting")
    card = page.locator("#requests > .card")
    assert "Paula" in card.inner_text()
    card.get_by_role("button", name="Ese no").click()
    page.wait_for_selector(".flash.good")
    desk.goto(f"{base}/waiting")  # the message of the first offer is gone
    desk.get_by_role("button", name="Ofrecer lo que está libre").click()
    desk.wait_for_selector("text=Ofertas hechas: 1")
    page.reload()
    card.get_by_role("button", name="Lo tomo").click()
    page.wait_for_selector("text=El turno es suyo")
    assert card.count() == 0
    assert "en espera" not in page.inner_text("main")


def test_a_family_leaves_the_line_and_so_does_the_desk_for_it(sign_in):
    page, base = sign_in("lucia")
    _wait_for_a_time(page, base).get_by_role("button", name="Dejar de esperar").click()
    page.wait_for_selector("text=Ya no está en espera")
    _wait_for_a_time(page, base)
    desk, _ = sign_in("tomas")
    desk.goto(f"{base}/waiting")
    desk.locator("#line > .card", has_text="Lucía").get_by_role("button", name="Dejar de esperar").click()
    desk.wait_for_selector("text=Ya no está en espera")
    page.reload()
    assert page.locator("#requests > .card").count() == 0


def test_the_desk_has_families_told_and_reads_what_was_sent_and_a_family_mutes_a_channel(sign_in):
    desk, base = sign_in("tomas")
    desk.goto(f"{base}/notices")
    desk.fill("#notices [name=hours] >> nth=0", "24")
    desk.check("#notices [value=booked]")
    desk.check("#notices [value=email]")
    desk.fill("#notices [name=start]", "00:00")
    desk.fill("#notices [name=end]", "00:01")
    desk.click("#notices button")
    desk.wait_for_selector(".flash.good")
    assert desk.input_value("#notices [name=hours] >> nth=0") == "24"
    assert desk.is_checked("#notices [value=booked]")
    assert desk.input_value("#notices [name=end]") == "00:01"

    page, _ = sign_in("carolina")
    assert page.goto(f"{base}/notices").status == 403
    page.goto(f"{base}/family")
    page.click("a.button >> nth=0")
    page.click(".slots button >> nth=0")
    page.wait_for_selector(".flash.good")
    told = desk.locator("#log tr", has_text="Falta confirmar, Correo")
    sent = told.filter(has_text="enviado").filter(has_text="Carolina")
    wait_until(lambda: desk.reload() and sent.count())

    page.goto(f"{base}/preferences")
    page.uncheck("[value=email]")
    page.select_option("#preferences [name=language]", "en")
    page.click("#preferences button")
    page.wait_for_selector(".flash.good")
    assert not page.is_checked("[value=email]")
    assert page.input_value("#preferences [name=language]") == "en"
    assert page.is_checked("[value=sms]")


def test_a_family_makes_an_address_that_a_calendar_reads_until_it_is_revoked(sign_in):
    page, base = sign_in("lucia")
    page.goto(f"{base}/calendars")
    assert page.locator("#others").count() == 0
    page.select_option("#feed [name=details]", "full")
    page.click("#feed button")
    page.wait_for_selector("#address")
    address = page.input_value("#address")
    link = urlsplit(address)
    assert f"{link.scheme}://{link.netloc}" == base
    asks = {"url": f"http://127.0.0.1:{link.port}{link.path}", "timeout": 60}
    read = httpx.get(**asks, headers={"host": link.netloc})
    assert read.headers["content-type"] == "text/calendar; charset=utf-8"
    events = icalendar.Calendar.from_ical(read.content).walk("VEVENT")
    assert any("Mateo" in str(event["SUMMARY"]) for event in events)
    again = httpx.get(**asks, headers={"host": link.netloc, "if-none-match": read.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    page.goto(f"{base}/calendars")
    assert page.locator("#address").count() == 0
    assert "leído el" in page.inner_text("#feeds .card >> nth=-1")
    page.click("#feeds .card >> nth=-1 >> button")
    page.wait_for_selector(".flash.good")
    assert httpx.get(**asks, headers={"host": link.netloc}).status_code == 404


def test_a_session_of_the_page_comes_as_a_file(sign_in):
    page, base = sign_in("lucia")
    page.goto(f"{base}/family")
    with page.expect_download() as download:
        page.click("a[download] >> nth=0")
    (event,) = icalendar.Calendar.from_ical(Path(download.value.path()).read_bytes()).walk("VEVENT")
    assert event["DTSTART"].params["TZID"] == "America/Argentina/Buenos_Aires"


def test_a_professional_adds_and_removes_a_calendar_elsewhere(sign_in):
    page, base = sign_in("paula")
    page.goto(f"{base}/calendars")
    page.fill("#outside [name=name]", "Consultorio")
    page.fill("#outside [name=url]", "https://calendar.example.org/secret-of-paula.ics")
    page.click("#outside button")
    page.wait_for_selector(".flash.good")
    card = page.locator("#others .card", has_text="Consultorio")
    assert "todavía sin leer" in card.inner_text()
    assert "secret-of-paula" not in page.content()
    card.get_by_role("button", name="Quitar").click()
    page.wait_for_selector("text=El calendario está quitado.")
    assert page.locator("#others .card").count() == 0


def test_the_desk_merges_two_people_and_forgets_one_who_asks_for_it(sign_in):
    page, base = sign_in("adriana", "girasol")
    page.goto(f"{base}/people")
    first, second = (page.locator(f"#merge [name={name}]").input_value() for name in ("keep", "duplicate"))
    assert first != second
    box, words = (page.locator(f"#erase label:has([name=cancel]){part}").bounding_box() for part in (" input", ""))
    assert box["x"] == words["x"]
    choose(page.locator("#merge"), "keep", "Pablo Olmos")
    choose(page.locator("#merge"), "duplicate", "Mariana Toledo")
    page.click("#merge button")
    page.wait_for_selector("#would")
    assert "Mariana Toledo pasa a ser Pablo Olmos" in page.inner_text("main")
    assert "Hijos: 1" in page.inner_text("#would")
    page.get_by_role("button", name="Unir").click()
    page.wait_for_selector(".flash.good")
    assert page.locator("#erase option", has_text="Mariana Toledo").count() == 0

    for boxes, is_done in (((), False), (("cancel", "forfeit"), True)):
        choose(page.locator("#erase"), "user", "Pablo Olmos")
        for box in boxes:
            page.check(f"#erase [name={box}]")
        page.click("#erase button")
        page.wait_for_selector(f".flash{'.good' if is_done else ':not(.good)'}")
        assert page.locator("#erase option", has_text="Pablo Olmos").count() == int(not is_done)
    for name in ("Thiago Toledo", "Benjamín Olmos"):
        page.goto(f"{base}/people")
        choose(page.locator("#erase-student"), "student", name)
        page.check("#erase-student [name=cancel]")
        page.click("#erase-student button")
        page.wait_for_selector(".flash.good")
        assert name not in page.inner_text("main")


# What the page gets of an address itself, as only the browser knows where `*.localhost` is.
FETCHED = """async address => {
    const found = await fetch(address);
    return [found.headers.get("content-type"), new TextDecoder().decode((await found.arrayBuffer()).slice(0, 5))];
}"""


def test_the_desk_invoices_a_purchase_and_the_family_sees_it(sign_in):
    desk, base = sign_in("tomas")
    desk.goto(f"{base}/invoices")
    desk.locator("#due > .card", has_text="Lucía").get_by_role("button").click()
    desk.wait_for_selector(".flash.good")
    desk.locator("#invoices > .card").first.get_by_role("button", name="Emitir").click()
    desk.wait_for_selector("text=Emitida.")

    family, _ = sign_in("lucia")
    family.goto(f"{base}/invoices")
    card = family.locator("#invoices > .card").first
    assert "ARS" in card.inner_text()
    assert card.get_by_role("button", name="Nota de crédito").count() == 0
    paper = card.locator("form").first.get_attribute("action")
    assert family.evaluate(FETCHED, paper) == ["application/pdf", "%PDF-"]

    desk.goto(f"{base}/invoices")
    desk.locator("#invoices > .card", has_text="Lucía").first.get_by_role("button", name="Nota de crédito").click()
    desk.wait_for_selector("text=Acreditada.")
    note = desk.locator("#invoices > .card").first.inner_text()
    assert "Nota de crédito" in note
    assert "De la factura" in note


def test_a_professional_sees_the_attendance_of_a_day_and_has_it_on_paper(sign_in):
    page, base = sign_in("paula")
    page.goto(f"{base}/attendance")
    assert page.locator("h1").inner_text().startswith("Asistencia")
    assert page.evaluate(FETCHED, "/attendance/paper?day=2031-05-05") == ["application/pdf", "%PDF-"]


POSTED = """async fields => {
    const found = await fetch("/attendance", {method: "POST", body: new URLSearchParams(fields)});
    return (await found.text()).includes('class="flash" role="alert"') ? "refused" : found.status;
}"""


def test_a_session_that_is_over_is_marked_by_who_gave_it_and_by_nobody_else(sign_in):
    page, base = sign_in("martin")
    page.goto(f"{base}/attendance?day={_of_last_week(2)}")
    page.wait_for_selector("text=Sesiones sin marcar: 1")
    card = page.locator("li.card", has_text="Bruno Benítez")
    assert card.locator(".state").inner_text() == "Sin marcar"

    marks = {"day": f"{_of_last_week(2)}", "session": card.locator("[name=session]").input_value(), "became": "no_show"}
    family, _ = sign_in("carolina")
    assert family.goto(f"{base}/attendance").status == 403
    assert family.evaluate(POSTED, marks) == "refused"
    stranger, other = sign_in("nicolas", "girasol")
    assert stranger.goto(f"{other}/attendance").status == 200
    assert stranger.evaluate(POSTED, marks) == "refused"
    family.goto(f"{base}/family/credits")
    before = _balance(family)

    page.reload()
    page.wait_for_selector("text=Sesiones sin marcar: 1")
    card.locator("[name=became]").select_option("executed")
    page.click("#marks button")
    page.wait_for_selector("text=Marcadas: 1")
    assert card.locator(".state").inner_text() == "Vino"
    assert "Sesiones sin marcar: 0" in page.inner_text("main")
    assert page.locator("[name=became]").count() == 0
    family.reload()
    assert _balance(family) == before  # who came has used what confirming took


def test_the_desk_marks_who_did_not_come_and_leaves_it_to_the_professional_who_came(sign_in):
    desk, base = sign_in("nicolas", "girasol")
    desk.goto(f"{base}/attendance?day={_of_last_week(3)}")
    card = desk.locator("li.card", has_text="Delfina Carranza")
    assert card.locator("[name=became] option").all_inner_texts() == ["", "Ausente"]
    card.locator("[name=became]").select_option("no_show")
    desk.click("#marks button")
    desk.wait_for_selector("text=Marcadas: 1")
    assert card.locator(".state").inner_text() == "Ausente"
    page, _ = sign_in("sofia", "girasol")
    page.goto(f"{base}/week?day={_of_last_week(3)}")
    assert page.locator("li.card.state-no_show", has_text="Delfina Carranza").count() == 1


def test_this_and_the_following_are_moved_after_the_desk_has_seen_what_is_in_the_way(sign_in):
    desk, base = sign_in("tomas")
    _book_at(desk, base, "Martín", "Lola", "18:00", _of_last_week(3) + timedelta(weeks=4))
    desk.goto(f"{base}/series")
    desk.locator("li.card", has_text="Bruno Benítez").get_by_role("link").click()
    desk.wait_for_selector("#sessions")
    assert desk.locator("#sessions > .card").count() == 6
    desk.locator("#sessions > .card").nth(1).get_by_role("link").click()
    desk.wait_for_selector("#sessions > .card:nth-child(2)[aria-current=true]")

    day = _of_last_week(3) + timedelta(weeks=3)
    desk.fill("#try [name=when]", f"{day}T18:00")
    assert desk.locator("#try [name=which]").input_value() == "following"
    desk.click("#try button")
    desk.wait_for_selector("#preview")
    assert "Sesiones que no se pueden cambiar: 1" in desk.inner_text("#preview")
    assert desk.locator("#preview .card").count() == 1
    assert "18:00" in desk.inner_text("#preview .card")
    assert _hours(desk) == ["15:00"] * 6  # it was only looked at

    desk.get_by_role("button", name="Cambiar las demás").click()
    desk.wait_for_selector("text=Cambiadas: 4. Quedaron donde estaban: 1.")
    assert _hours(desk) == ["18:00", "15:00", "18:00", "18:00", "18:00"]
    desk.goto(f"{base}/series")
    ahead = desk.locator("li.card", has_text="Bruno Benítez")
    assert ahead.locator(".state").all_inner_texts() == ["por venir: 1", "por venir: 5"]


def test_a_series_is_cancelled_from_a_session_on(sign_in):
    desk, base = sign_in("nicolas", "girasol")
    desk.goto(f"{base}/series")
    desk.locator("li.card", has_text="Delfina Carranza").get_by_role("link").click()
    desk.wait_for_selector("#sessions")
    desk.locator("#sessions > .card").nth(3).get_by_role("link").click()
    desk.wait_for_selector("#sessions > .card:nth-child(4)[aria-current=true]")
    desk.locator("#cancel [name=which]").select_option("following")
    desk.click("#cancel button")
    desk.wait_for_selector("text=Canceladas: 3")
    states = desk.locator("#sessions > .card .state").all_inner_texts()
    assert states == ["confirmada"] * 3 + ["cancelada"] * 3

    family, _ = sign_in("julia", "girasol")
    assert family.goto(f"{base}/series").status == 403
    assert family.goto(desk.url).status == 403


def _book_at(page, base, professional, child, hour, day):
    page.goto(f"{base}/desk?day={day}")
    page.click("main > details summary")
    form = page.locator("form[action='/desk/sessions']")
    choose(form, "student", child)
    choose(form, "professional", professional)
    form.locator("[name=when]").fill(f"{day}T{hour}")
    form.locator("button").click()
    page.wait_for_selector(".flash.good")


def _hours(page):
    return page.locator("#sessions > .card time").all_inner_texts()


def _of_last_week(weekday):
    today = datetime.now(HERE).date()
    return today - timedelta(days=today.weekday() + 7 - weekday)


def _balance(page):
    return int(page.inner_text("main p strong"))


def test_odd_input_is_refused_and_no_fault_of_the_server(port):
    host = f"arrayanes.localhost:{port}"
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"host": host}) as client:
        entered = client.post("/sign-in", data={"email": "tomas@arrayanes.example.org", "password": PASSWORD})
        client.headers["cookie"] = f"centre={entered.cookies['centre']}"
        move = {"when": "tomorrow", "professional": 1, "key": "k" * 8}
        answers = [
            *(client.get(f"/{page}?day={day}") for page in ("desk", "week") for day in ("0001-01-01", "9999-12-31")),
            client.get("/family/book?student=1&day=9999-12-31"),
            client.get("/api/slots?professional=1&start=9999-12-31T00:00:00Z"),
            client.post("/desk/sessions/1/move", data=move),
            *(client.post("/import", files={"file": (name, b"a,b")}) for name in ("..", "x" * 300, "a/b.xlsx")),
            client.post("/webhooks/pretend", content=b"{}"),
            client.post("/sign-out", headers={"origin": "http://["}),
            client.post("/desk/sessions/1/move", headers={"referer": "http://["}, data=move),
        ]
        assert [str(answer.url) for answer in answers if answer.status_code >= 500] == []
        reset = {"token": "1.x", "password": "p" * 12}
        lost = client.post("/reset", headers={"referer": f"http://{host}//evil.test"}, data=reset)
        assert "location" not in lost.headers


def test_a_sign_out_ends_the_token_of_this_device_and_no_other(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"host": f"arrayanes.localhost:{port}"}) as client:

        def enter():
            data = {"email": "diego@arrayanes.example.org", "password": PASSWORD}
            token = client.post("/sign-in", data=data).cookies["centre"]
            client.cookies.clear()
            return {"cookie": f"centre={token}"}

        here, there = enter(), enter()
        assert client.get("/family", headers=here).status_code == 200
        left = client.post("/sign-out", headers=here)
        assert 'centre=""' in left.headers["set-cookie"]
        assert client.get("/family", headers=here).headers["location"] == "/sign-in"
        assert client.get("/family", headers=there).status_code == 200


def test_the_desk_changes_a_service_and_sells_a_package_that_the_family_sees(sign_in):
    desk, base = sign_in("tomas")
    desk.goto(f"{base}/services")
    desk.fill("#new [name=name]", "Taller de lectura")
    desk.fill("#new [name=price]", "9500")
    desk.fill("#new [name=tax]", "10,5")
    desk.click("#new button")
    desk.wait_for_selector(".flash.good")
    card = desk.locator("li.card", has_text="Taller de lectura")
    card.locator("summary").click()
    assert [card.locator(f"[name={name}]").input_value() for name in ("price", "tax")] == ["9500", "10.5"]
    card.locator("[name=duration_minutes]").fill("75")
    card.locator("button").click()
    desk.wait_for_selector("li.card:has-text('Taller de lectura'):has-text('75 min')")
    page, _ = sign_in("lucia")
    page.goto(f"{base}/family/credits")
    before = int(page.locator("li.kind strong").inner_text())
    desk.goto(f"{base}/packages")
    choose(desk.locator("form[action='/packages/sell']"), "package", "Eight workshops")
    desk.select_option("[name=family]", label="Lucía Acosta")
    desk.click("main form button")
    desk.wait_for_selector(".flash.good")
    page.reload()
    assert page.locator("li.kind strong").inner_text() == str(before + 8)
    assert any("8" in each for each in page.locator("li.lot").all_inner_texts())


def test_a_session_that_is_paid_with_a_credit_reserves_it(sign_in):
    page, base = sign_in("carolina")
    page.goto(f"{base}/family/credits")
    page.click("main form button")
    page.wait_for_url("**/pay/**")
    page.click("text=Pagar")
    page.wait_for_selector(".flash.good")
    page.goto(f"{base}/family/credits")
    shown = page.locator("#reserved")
    before = int(shown.inner_text().split()[0]) if shown.count() else 0
    page.goto(f"{base}/family")
    page.click("a.button >> nth=0")
    page.check("[name=uses_credit]")
    page.click("main form button >> nth=0")
    page.wait_for_selector(".slots [name=uses_credit]", state="attached")
    page.click(".slots button >> nth=0")
    page.wait_for_selector(".flash.good")
    page.goto(f"{base}/family/credits")
    assert page.inner_text("#reserved") == f"{before + 1} reservados por sesiones a confirmar"
    balance = int(page.inner_text("main p strong"))
    assert page.inner_text("#available") == f"{balance - before - 1} disponibles"
