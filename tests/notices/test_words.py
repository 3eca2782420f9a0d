"""The words of notices: in the organization's language, on its clocks, in its own words or the host's."""

import re
import tomllib
from importlib import resources

import pytest

from rayces_core import InvalidDataError, notices
from rayces_core.fields.notices import PLACES
from rayces_core.notices.words import Words
from tests.notices.senders import Kept, reminders, rules, told
from tests.scheduling.worlds import ALWAYS, NOW, at, open_centre

WORDS = tomllib.loads(resources.files("rayces_core.notices").joinpath("words.toml").read_text("utf-8"))


def sent(db, settings, zone="America/Argentina/Buenos_Aires", confirm=True, **options):
    kept = Kept()
    with open_centre(db, weekly_schedule=ALWAYS, zone=zone, settings=settings) as centre:
        centre.student.first_name, centre.student.last_name = "Luz", "Sosa"
        centre.student.save()
        centre.book(at(13), confirm=confirm, now=at(-6))
    notices.deliver(db, {"email": kept}, now=at(12), **options)
    return [(each.subject, each.text) for each in kept.outgoing]


def test_languages_have_the_same_words_and_fill_in_what_there_is():
    assert set(WORDS["en"]) == set(WORDS["es"])
    for words in (*WORDS["en"].values(), *WORDS["es"].values()):
        assert set(re.findall(r"\{(\w+)\}", words["subject"] + words["text"])) <= PLACES


@pytest.mark.slow
def test_a_centre_in_argentina_reads_spanish_on_its_own_clock(own_db):
    ((subject, text),) = sent(own_db, reminders(60))
    assert subject == "Recordatorio: Luz Sosa, lunes 3 de marzo de 2031, 10:00"
    assert text.startswith("Hola Ana: Luz Sosa tiene sesión el lunes 3 de marzo de 2031, 10:00, 60 minutos, con ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zone", "settings"), [("Europe/London", {}), ("America/Argentina/Buenos_Aires", {"language": "en"})]
)
def test_elsewhere_or_where_it_is_asked_for_it_is_english(own_db, zone, settings):
    ((subject, _),) = sent(own_db, reminders(60, **settings), zone=zone)
    assert subject.startswith("Reminder: Luz Sosa on Monday 3 March 2031, 1")


@pytest.mark.slow
def test_a_recipient_reads_the_own_language_and_others_the_organizations(own_db):
    settings = reminders(60)
    settings["notices"]["rules"][0]["to"] = ["client", "professional"]
    kept = Kept()
    with open_centre(
        own_db, weekly_schedule=ALWAYS, zone="America/Argentina/Buenos_Aires", settings=settings
    ) as centre:
        centre.client.language = "en"
        centre.client.save()
        centre.book(at(13), confirm=True, now=at(-6))
    notices.deliver(own_db, {"email": kept}, now=at(12))
    read = {each.recipient.id: each.subject.partition(":")[0] for each in kept.outgoing}
    assert read == {centre.client.id: "Reminder", centre.professional.user_id: "Recordatorio"}
    assert "Monday 3 March 2031, 10:00" in next(each.text for each in kept.outgoing if each.subject[0:3] == "Rem")


@pytest.mark.parametrize("language", ["fr", "EN", "", 1])
def test_a_language_without_words_is_refused(own_db, language):
    with open_centre(own_db) as centre, pytest.raises(InvalidDataError) as refused:
        centre.client.language = language
        centre.client.save()
    assert refused.value.field == "User.language"


def test_of_a_hold_it_says_until_when(own_db):
    ((subject, text),) = sent(own_db, reminders(60), confirm=False)
    assert subject.startswith("Falta confirmar: ")
    assert "hasta el lunes 3 de marzo de 2031, " in text


@pytest.mark.slow
def test_an_organization_has_its_own_words(own_db):
    own = {"wording": "reminder", "language": "es", "subject": "¡{student}!", "text": "{starts_at} {{minutes}} {name}"}
    assert sent(own_db, reminders(60, texts=[own])) == [("¡Luz Sosa!", "lunes 3 de marzo de 2031, 10:00 {60} Ana")]


@pytest.mark.slow
def test_a_host_has_its_own_renderer(own_db):
    def shout(facts):
        return Words(facts.student.upper(), facts.notice.event.upper())

    assert sent(own_db, reminders(60), render=shout) == [("LUZ SOSA", "REMINDER")]


@pytest.mark.slow
def test_what_a_family_types_fills_nothing_in(own_db):
    kept = Kept()
    with open_centre(own_db, settings=rules(event="booked", channels=["email"])) as centre:
        centre.client.first_name = "{phone}{name.__class__}"
        centre.client.save()
        centre.book(at(13))
        told(own_db, notices.hear)
    notices.deliver(own_db, {"email": kept}, now=NOW)
    assert "Hello {phone}{name.__class__}, " in kept.outgoing[0].text
