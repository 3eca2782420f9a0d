"""A user with a password; hashes are made by the real hashers, at the least cost that Argon2 allows."""

from __future__ import annotations

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from rayces_core import User, sign_in
from rayces_core.models import Credential
from rayces_core.sign_in import passwords
from tests.factory import make_user

PASSWORD = "correct horse battery"
CHEAP = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1), BcryptHasher()))
HASH = CHEAP.hash(PASSWORD)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(passwords, "_hashers", lambda: CHEAP)
    monkeypatch.setattr(passwords, "_nobodys", lambda: HASH)  # else one of the full cost may be kept from elsewhere


@pytest.fixture
def user(db, a):
    """Within the block of organization `a`: Ana, whose password is PASSWORD."""
    with db.tenant(a):
        made = make_user(email="ana@example.org")
        sign_in.import_password_hash(made, HASH)
        yield made


@pytest.fixture
def asked(db):
    """The queries that are sent from here on."""
    queries: list[object] = []
    db.on_query(queries.append)
    return queries


def credential(user: User) -> Credential:
    return Credential.get(Credential.user == user.id)
