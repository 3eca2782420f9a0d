"""A connection that is cut in the middle of the first check is the library's own error, and the check is made again."""

import contextlib

import pytest

from rayces_core import ConnectionLostError, Database, Student
from tests.walking import walked
from tests.wire import Wire


class Cutting(Wire):
    """A proxy that cuts the connection when a message holds `cut_at`."""

    cut_at = ""

    def _forward_counting(self, client, server):
        connections = (client, server)

        class Noting(list):
            def append(noted, text):
                list.append(noted, text)
                if self.cut_at and self.cut_at in text:
                    for connection in connections:
                        connection.shutdown(2)

        self.sent = Noting()
        with contextlib.suppress(OSError):  # that is the cut
            super()._forward_counting(client, server)


FIRST_MESSAGES = ("to_regclass('organizations') IS NOT NULL", "FROM pg_roles", "relforcerowsecurity", "pg_backend_pid")


@pytest.mark.slow
@walked("cut_at", FIRST_MESSAGES)
def test_a_connection_cut_during_the_first_check(own_db, cut_at):
    proxy = Cutting(own_db.url)
    try:
        with Database.connect(proxy.url) as database:
            proxy.cut_at = cut_at
            for _ in range(2):
                with pytest.raises(ConnectionLostError), database.privileged(reason="test"):
                    Student.select().count()
            assert any(cut_at in text for text in proxy.sent)
            proxy.cut_at = ""
            with database.privileged(reason="test"):
                assert Student.select().count() == 0
    finally:
        proxy.close()
