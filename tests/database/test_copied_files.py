"""A file that fails in the middle of a COPY is what is told, and the pool has its place back."""

import pytest
from psycopg2.extensions import get_wait_callback, set_wait_callback
from psycopg2.extras import wait_select

OUT = "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 5000)) TO STDOUT"
IN = "COPY letters FROM STDIN"


class Full:
    """Fails at its third piece."""

    def __init__(self, failure):
        self.failure, self.left = failure, 3

    def write(self, piece):
        self.left -= 1
        if not self.left:
            raise self.failure
        return len(piece)

    def read(self, _):
        self.write(b"")
        return b"x\n"


@pytest.fixture(params=["psycopg2 waits", "another waits"])
def waiting(request):
    before = get_wait_callback()
    if request.param == "another waits":
        set_wait_callback(wait_select)
    yield get_wait_callback()
    assert get_wait_callback() in (None, wait_select)
    set_wait_callback(before)


@pytest.mark.parametrize(
    "failure", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["full", "ctrl-c"]
)
@pytest.mark.parametrize("sql", [OUT, IN], ids=["to", "from"])
def test_what_the_file_says_is_told_and_the_next_unit_of_work_goes_on(db, a, waiting, sql, failure):
    with db.tenant(a):
        engine = db.engine
        with pytest.raises(type(failure)) as told, db.atomic():
            db.execute_sql("CREATE TEMP TABLE letters (letter text) ON COMMIT DROP")
            engine.copy(sql, Full(failure))
        assert told.value is failure
        assert get_wait_callback() is waiting
        with db.atomic():
            assert db.execute_sql("SELECT 1").fetchone() == (1,)
    assert db.pool_status().in_use == 0
