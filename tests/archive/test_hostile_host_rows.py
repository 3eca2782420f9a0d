"""An archive whose rows of a host's tables were made up: it is refused, whatever its checksums say."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rayces_core import Database, archive
from rayces_core.errors import ArchiveError
from tests.archive.hosting import SHAPES, filled, host
from tests.exporting.test_archive_hostile import rows
from tests.factory import make_organization
from tests.walking import walked

Files = dict[str, bytes]


def set_first(table: str, **values: Any) -> Callable[[Files], object]:
    return rows(table, lambda found: found[0].update(values))


MADE_UP = {
    "a place that is nobody's": (
        set_first("bill_lines", bill_id=99),
        "row 1: bill_id names a row that is not",
    ),
    "an id of a neighbour": (set_first("bill_lines", bill_id=-1), "bill_id names a row that is not"),
    "a later place that is nobody's": (set_first("bills", last_line_id=99), "last_line_id names a row"),
    "a place in its own table": (set_first("places", within_id=99), "within_id names a row"),
    "a document that is not there": (
        set_first("documents", copied_from="00000000-0000-0000-0000-000000000000"),
        "the database refuses its rows",
    ),
    "a value of another type": (set_first("bill_lines", cents="many"), "the database refuses its rows"),
    "a number that is no place": (set_first("bill_lines", id=7), "are not numbered from 1"),
    "one row twice": (rows("documents", lambda found: found.append(found[0])), "the database refuses its rows"),
    "a day of no calendar": (set_first("closings", day="0044-03-15 BC"), "is no day of the calendar"),
}


@pytest.fixture(scope="module")
def kept(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.conftest import cloned

    path = tmp_path_factory.mktemp("archive") / "kept.zip"
    shapes = [SHAPES[name] for name in ("a circle", "a tree", "uuid keys", "keys of texts, days and other rows")]
    with cloned(server_url, template) as url, Database.connect(url) as db:
        for making, _, _ in shapes:
            host(url, making)
        north = make_organization(db)
        filled(db, north, [filling for _, filling, _ in shapes])
        with db.tenant(north):
            archive.write(path)
        yield db, path


@pytest.mark.slow
@walked("fault", MADE_UP)
def test_rows_that_were_made_up_are_refused_whole(kept: tuple[Database, Path], tmp_path: Path, fault: str) -> None:
    db, path = kept
    change, said = MADE_UP[fault]
    with zipfile.ZipFile(path) as source:
        files = {name: source.read(name) for name in source.namelist()}
    change(files)
    with zipfile.ZipFile(tmp_path / "made-up.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    with pytest.raises(ArchiveError, match=said):
        archive.restore(db, tmp_path / "made-up.zip", subdomain="made-up")
    with db.privileged(reason="test"):
        assert db.execute_sql("SELECT count(DISTINCT organization_id) FROM bills").fetchone() == (1,)
