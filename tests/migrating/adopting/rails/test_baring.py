"""Tables that rows are copied into are without indexes and keys meanwhile; the others keep theirs."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from rayces_core.migrating import Runner
from rayces_core.migrating.adopting.rails.baring import bare
from rayces_core.migrating.adopting.rails.copying import FILLED
from rayces_core.migrating.checking import Expected, unlike
from rayces_core.migrating.files import read_directory
from rayces_core.migrations.session import connected

OF = re.compile(r"(?:ALTER TABLE| ON) public\.(\w+)")


@pytest.mark.slow
def test_all_that_goes_comes_back_and_no_other_table_loses_more_than_keys_that_refer_to_one(
    at: Callable[[int], str], expected: Expected
) -> None:
    runner = Runner(at(len(read_directory(None))))
    with connected(runner.database):
        bared = bare(runner.database, "public", FILLED)
        others = [made for _, made in bared.pairs if OF.search(made)[1] not in FILLED]
        assert 0 < len(others) < len(bared.pairs) / 5
        assert [
            made for made in others if not re.search(rf"REFERENCES (?:public\.)?(?:{'|'.join(FILLED)})\(", made)
        ] == []
        for statement in bared.dropping():
            runner.database.command(statement)
        assert bare(runner.database, "public", FILLED).pairs == ()
        for statement in bared.making():
            runner.database.command(statement)
    assert [each.line for each in unlike(runner, expected)] == []
