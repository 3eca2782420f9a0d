"""A demo that an application runs on: the centres, passwords that everybody has, secrets that stay in the folder."""

import json

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from rayces_core import Database, InvalidDataError, User, demo, sign_in
from rayces_core.demo.hosting import Trial
from rayces_core.models.signing_in import Credential

PASSWORD = "correct horse battery"


@pytest.fixture
def quick_hashes(monkeypatch):
    """Argon2id with the least work there is: it takes as long as it is meant to, for each of twenty people."""
    least = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(sign_in.passwords, "_hashers", lambda: least)


@pytest.mark.slow
def test_whoever_has_no_password_gets_the_one_that_is_given(own_db, quick_hashes):
    ours, theirs = demo.load_centres(own_db)
    with own_db.tenant(ours):
        tomas = User.get(User.email == f"tomas@{ours.subdomain}.example.org")
        before = tomas.jti
        sign_in.import_password_hash(tomas, sign_in.passwords.hash_of(PASSWORD))
    demo.load_centres(own_db, password=PASSWORD)
    for organization in (ours, theirs):
        with own_db.tenant(organization):
            for user in User.select().where(User.merged_into.is_null()):
                assert sign_in.check_password(user.email, PASSWORD) == user
            (duplicate,) = User.select().where(User.merged_into.is_null(False))
            assert not Credential.select().where(Credential.user == duplicate).exists()
    with own_db.tenant(ours):
        assert User.get_by_id(tomas.id).jti == before  # who had one was signed out by nothing


@pytest.mark.slow
def test_a_password_that_is_too_short_is_refused(own_db):
    with pytest.raises(InvalidDataError):
        demo.load_centres(own_db, password="short")


def test_secrets_stay_in_the_folder_for_its_owners_eyes(db, tmp_path):
    trial = Trial(db, [], PASSWORD, tmp_path)
    tokens, payments = trial.secret("tokens"), trial.secret("payments", lambda: "drawn")
    assert (len(tokens), payments) == (64, "drawn")
    again = Trial(db, [], PASSWORD, tmp_path)
    assert (again.secret("tokens"), again.secret("payments")) == (tokens, "drawn")
    (kept,) = tmp_path.iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text()) == {"tokens": tokens, "payments": "drawn"}
    nowhere = Trial(db, [], PASSWORD, None)
    assert nowhere.secret("tokens") != nowhere.secret("tokens")


@pytest.mark.slow
def test_it_says_where_the_centres_are_and_who_can_sign_in(own_db, quick_hashes):
    trial = Trial(own_db, demo.load_centres(own_db, password=PASSWORD), PASSWORD, None)
    said = trial.sign_ins(8000)
    for line in (
        "Centro Arrayanes: http://arrayanes.localhost:8000/",
        "  guardian     lucia@arrayanes.example.org",
        "  staff        tomas@arrayanes.example.org",
        f"Everybody's password: {PASSWORD}",
    ):
        assert line in said.splitlines()
    assert "merged" not in said
    assert trial.variables() == {"RAYCES_DATABASE_URL": own_db.url, "RAYCES_ADMIN_DATABASE_URL": own_db.admin_url}


@pytest.mark.exhaustive
def test_a_folder_keeps_the_centres_and_a_server_of_its_own_starts_there_again(tmp_path, quick_hashes):
    """The parts of it are the tests above."""
    seen = []
    for _ in range(2):
        with demo.started(tmp_path / "kept", password=PASSWORD) as trial:
            with Database.connect(url=trial.db.url, admin_url=trial.db.admin_url) as db:
                seen.append([db.find_tenant(each.subdomain).id for each in trial.organizations])
            seen.append(trial.secret("tokens"))
    assert seen[:2] == seen[2:]
