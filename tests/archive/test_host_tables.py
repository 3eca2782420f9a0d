"""Tables of a host application in the archive of a tenant: whatever their keys, references, names and types."""

from __future__ import annotations

from pathlib import Path

from rayces_core import Database, archive
from tests.archive.hosting import SHAPES, filled, host
from tests.exporting.test_archive import assert_same_tables, manifest_of
from tests.factory import make_organization


def test_rows_of_a_host_s_tables_come_in_as_they_went_out(own_db: Database, tmp_path: Path) -> None:
    """The neighbour has rows as well, so that ids are others in the copy, and none of them are its."""
    for making, _, _ in SHAPES.values():
        host(own_db.url, making)
    north, neighbour = make_organization(own_db), make_organization(own_db)
    fillings = [filling for _, filling, _ in SHAPES.values()]
    filled(own_db, neighbour, fillings)
    filled(own_db, north, fillings)
    with own_db.tenant(north):
        written = archive.write(tmp_path / "north.zip")
    rows = {name: count for _, _, counts in SHAPES.values() for name, count in counts.items()}
    assert {name: written.rows.get(name) for name in rows} == rows
    done = archive.restore(own_db, tmp_path / "north.zip", subdomain="copy")
    with own_db.tenant(done.organization):
        assert archive.content_checksum() == manifest_of(tmp_path / "north.zip")["content_sha256"]
        archive.write(tmp_path / "again.zip")
    assert_same_tables(tmp_path / "north.zip", tmp_path / "again.zip")
