"""What is read fast is what the driver reads: the same values, and the same errors for what has none in Python."""

import psycopg2
import pytest

from rayces_core.database.casts import read_fast
from tests.sizes import exhaustive
from tests.walking import walked

ZONES = ["UTC", "America/Argentina/Buenos_Aires", "Asia/Kathmandu", "Africa/Monrovia"]
MOMENTS = """
SELECT timestamptz '0001-01-02 00:00:00+00' + make_interval(secs => n * 28508400.000001)
  FROM generate_series(1, 11000) AS n
"""
ODD_MOMENTS = [
    "infinity",
    "-infinity",
    "0044-03-15 12:00 BC",
    "12000-01-01",
    "9999-12-31 23:59:59.999999",
    "2031-01-01 00:00:00.5",
    "1883-11-18 12:00",
]
DOCUMENTS = [
    "{}",
    "[]",
    "null",
    "1",
    "1.0",
    "1e400",
    "123456789012345678901234567890",
    '"a\\u00e9\\n"',
    '{"a": {"b": [1, 2, {"c": null}]}, "a b": true}',
    '"\\ud83d\\ude00"',
    "[" * 3000 + "]" * 3000,
]


@pytest.fixture
def both(server_url):
    """Runs a query by the driver's own reading and by ours; gives the two outcomes."""
    plain, fast = psycopg2.connect(server_url), psycopg2.connect(server_url)
    read_fast(fast)
    yield lambda *query: [outcome(connection, *query) for connection in (plain, fast)]
    plain.close()
    fast.close()


def outcome(connection, *query):
    with connection.cursor() as cursor:
        try:
            cursor.execute(*query)
            return cursor.fetchall()
        except Exception as error:
            connection.rollback()
            return type(error), str(error)


@walked("zone", [ZONES[0], *exhaustive(*ZONES[1:])])
def test_moments_of_ten_thousand_years_are_read_as_the_driver_does(both, zone):
    both(f"SET TIME ZONE '{zone}'; SELECT 1")
    plain, fast = both(MOMENTS)

    assert len(plain) == 11000
    assert plain == fast
    assert [moment.utcoffset() for (moment,) in plain] == [moment.utcoffset() for (moment,) in fast]


@walked("text", ODD_MOMENTS)
def test_an_odd_moment_is_read_as_the_driver_does(both, text):
    plain, fast = both("SELECT %s::timestamptz", (text,))

    assert plain == fast


@walked("text", DOCUMENTS)
def test_a_document_is_read_as_the_driver_does(both, text):
    plain, fast = both("SELECT %s::jsonb", (text,))

    assert plain == fast


def test_null_is_none(both):
    plain, fast = both("SELECT null::timestamptz, null::jsonb")

    assert plain == fast == [(None, None)]


def test_arrays_are_read_as_the_driver_does(both):
    plain, fast = both("SELECT array[timestamptz '2031-01-01 00:00+00', null], array[jsonb '{}']")

    assert plain == fast


def test_other_connections_are_left_alone(server_url):
    fast, other = psycopg2.connect(server_url), psycopg2.connect(server_url)
    read_fast(fast)

    assert fast.string_types.keys() == {1184, 3802}
    assert other.string_types == {}
    fast.close()
    other.close()
