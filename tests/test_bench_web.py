"""The benchmark of requests runs, and compares applications that answer alike."""

import asyncio

import pytest
from bench.web import CASES, bare, caller, compared, ours
from fastapi.testclient import TestClient

from rayces_core import Database
from tests.factory import make_user


@pytest.mark.slow
def test_both_applications_answer_alike_and_are_measured(own_db):
    north = own_db.create_organization("North", subdomain="north")
    with Database.connect(own_db.url, max_connections=2) as db:
        app, rayces = ours(db)
        with db.tenant(north):
            token = rayces.tokens.issue(make_user())
        apps = [bare(db), app]
        for case in CASES:
            headers = {"authorization": f"Bearer {token}"}
            clients = [TestClient(each, base_url="http://north.example.test", headers=headers) for each in apps]
            answers = [client.get(case.path) for client in clients]
            assert answers[0].json() == answers[1].json(), case.path
        results = asyncio.run(compared(app, [caller(each, token) for each in apps], 1, 2))
    assert [result[0] for result in results] == list(CASES)
    assert all(microseconds > 0 for _, *figures in results for microseconds in figures)
