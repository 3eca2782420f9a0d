"""Memory stays flat: neither rows nor problems are kept in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rayces_core import Database
from tests.factory import make_organization
from tests.sizes import exhaustive, quick_or_whole

# Either is more than may be kept.
ROWS, NOTES, MOST_MEGABYTES = quick_or_whole((15_000, 300, 25), (60_000, 300, 40))


# Bad rows stay in `make test`: they are read as good ones are, and their problems are counted besides.
@pytest.mark.slow
@pytest.mark.parametrize("birth", ["31/31/2020", *exhaustive("01/02/2020")], ids=["bad rows", "good rows"])
def test_a_large_file_needs_no_more_memory_than_a_batch(bare_db: Database, tmp_path: Path, birth: str) -> None:
    path = tmp_path / "students.csv"
    with path.open("w") as file:
        file.write("first_name,last_name,date_of_birth,medical_notes\n")
        file.writelines(f"Luz {number},Sosa,{birth},{'x' * NOTES}\n" for number in range(ROWS))
    organization = make_organization(bare_db)
    words = [bare_db.url, organization.subdomain, str(path), "check"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.importing.reading_much", *words], capture_output=True, text=True, check=True
    )
    rows, problems, grown, _ = map(int, done.stdout.split())
    assert (rows, problems) == (ROWS, 0 if birth.startswith("01") else ROWS)
    assert grown < MOST_MEGABYTES
