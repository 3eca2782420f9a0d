"""docs/importing.md says of every model by which record it comes in, or why it does not."""

import re
from pathlib import Path

import pytest

from rayces_core import (
    ConfigurationError,
    Organization,
    calendars,
    credits,
    importing,
    notices,
    outbox,
    scheduling,
    sign_in,
)
from rayces_core.importing.records import RECORDS
from rayces_core.models import TENANT_MODELS

PAGE = (Path(__file__).parents[2] / "docs" / "importing.md").read_text("utf-8")
SECTION = PAGE.partition("## What comes in, and what does not")[2].partition("\n## ")[0]
ROWS = {
    model: (record.strip("`"), words.strip())
    for model, record, words in re.findall(r"^\| `(\w+)` \| ([^|]*?) \|(.*)\|$", SECTION, re.MULTILINE)
}
ROOMS = {room.__name__.rpartition(".")[2]: room for room in (calendars, credits, notices, outbox, scheduling, sign_in)}


def test_every_model_is_in_the_table_once():
    assert list(ROWS) == re.findall(r"^\| `(\w+)` \|", SECTION, re.MULTILINE)
    assert sorted(ROWS) == sorted(model.__name__ for model in (Organization, *TENANT_MODELS))


def test_each_record_is_named_beside_its_model_and_what_has_none_says_why():
    own = {record.model.__name__: name for name, record in RECORDS.items()}
    assert {model: ROWS[model][0] for model in own} == own
    assert {record for record, _ in ROWS.values()} == {*RECORDS, "not"}
    assert [model for model, (_, words) in ROWS.items() if model not in own and not words] == []


@pytest.mark.parametrize("model", [model for model in TENANT_MODELS if ROWS[model.__name__][0] == "not"])
def test_what_does_not_come_in_is_refused_with_the_records_that_there_are(db, a, model):
    with db.tenant(a), pytest.raises(ConfigurationError, match=", time_off_requests, "):
        importing.check([{}], model)


def test_columns_and_functions_that_the_table_names_are_there():
    columns = {column.name for record in RECORDS.values() for column in record.readable}
    for _, words in ROWS.values():
        for room, function in re.findall(r"`(\w+)\.(\w+)", words):
            assert room == "db" or hasattr(ROOMS[room], function), function
    for column in ("dated_schedules", "date_overrides", "blocked_dates", "series_rule"):
        assert column in columns
        assert f"`{column}`" in SECTION
