"""The journal of a host's own lifecycles in an archive: its entries stay with their rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayces_core import Database, archive
from rayces_core.archive import layout
from rayces_core.errors import ArchiveError
from tests.archive.hosting import HOSTED_ROOMS, HostedRoom, host
from tests.exporting.worlds import fill
from tests.factory import make_organization


@pytest.fixture
def hosted(own_db: Database) -> Database:
    host(own_db.url, HOSTED_ROOMS)
    return own_db


@pytest.mark.slow
def test_entries_of_a_host_s_rows_stay_with_them(hosted: Database, tmp_path: Path) -> None:
    organization = make_organization(hosted)
    with hosted.tenant(organization):
        fill()
        gone, room, free = (HostedRoom.create(name=name) for name in ("gone", "taken", "free"))
        gone.take(reason="soon gone")
        room.take(reason="rehearsal")
        gone.delete_instance()
        archive.write(tmp_path / "a.zip")
    with hosted.tenant(archive.restore(hosted, tmp_path / "a.zip", subdomain="again").organization):
        rooms = list(HostedRoom.select().order_by(HostedRoom.id))
        assert [(each.name, [move.reason for move in each.history()]) for each in rooms] == [
            ("taken", ["rehearsal"]),
            ("free", []),
        ]
        free = rooms[1]
        free.take()
        assert len(list(free.history())) == 1


@pytest.mark.slow
def test_a_lifecycle_that_is_not_loaded_is_no_row_without_a_home(
    hosted: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = make_organization(hosted)
    with hosted.tenant(organization):
        HostedRoom.create(name="taken").take()
        archive.write(tmp_path / "a.zip")
        monkeypatch.setattr(layout, "_models", lambda _: ())
        with pytest.raises(ArchiveError, match=r"tells of HostedRoom.*import the module.*--models"):
            archive.write(tmp_path / "b.zip")
        with pytest.raises(ArchiveError, match="HostedRoom"):
            archive.content_checksum()
    with pytest.raises(ArchiveError, match=r"row 1: the journal tells of HostedRoom"):
        archive.restore(hosted, tmp_path / "a.zip", subdomain="again")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.slow
def test_a_lifecycle_whose_table_stays_behind_is_known(hosted: Database, tmp_path: Path) -> None:
    host(hosted.url, "COMMENT ON TABLE hosted_rooms IS 'rayces: not archived'")
    with hosted.tenant(make_organization(hosted)):
        HostedRoom.create(name="taken").take()
        archive.write(tmp_path / "a.zip")
    assert archive.restore(hosted, tmp_path / "a.zip", subdomain="again").rows["state_transitions"] == 1
