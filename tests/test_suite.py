"""What the suite itself does so that no test fails by chance."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import factory
from tests.patience import in_one_of_five, wait_until
from tests.ports import PORTS, free_port
from tests.sizes import BY_CHANCE, examples


@given(st.none())
def plain(_):
    """A property that names no size."""


@examples(1, 1, suppress_health_check=[])
@given(st.none())
def sized(_):
    """One that does."""


@pytest.mark.parametrize("property_", [plain, sized])
def test_no_property_fails_because_the_machine_is_slow_or_its_dice_fall_so(property_):
    used = getattr(property_, "_hypothesis_internal_use_settings", None) or settings.default
    assert used.deadline is None
    assert set(BY_CHANCE) <= set(used.suppress_health_check)


@pytest.mark.slow
def test_where_the_run_was_started_in_the_background_ctrl_c_reaches_what_tests_start():
    code = "import signal, tests.conftest; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert done.stdout == "True\n"


def test_a_free_port_is_none_that_the_system_gives_away_by_itself():
    assert max(PORTS) < 32_768
    assert free_port() in PORTS


@pytest.mark.parametrize("before", range(0, factory.NUMBERS, 7))
def test_times_go_up_within_a_test_however_many_rows_were_made_before(before, monkeypatch):
    monkeypatch.setattr(factory, "_numbers", itertools.count(before))
    factory.begin_test(Path(__file__))
    times = [factory.next_time() for _ in range(factory.AT_ONCE)]
    assert times == sorted(set(times))
    factory.begin_test(Path("another.py"))
    assert factory.next_time() == factory.START


def test_what_comes_is_waited_for_and_what_does_not_is_told():
    turns = iter([0, 0, 1])
    wait_until(lambda: next(turns))
    assert list(turns) == []
    with pytest.raises(AssertionError, match="not so after 0 s"):
        wait_until(lambda: False, 0)


@pytest.mark.parametrize(("holds", "tries"), [([0, 0, 1], 3), ([0] * 9, 5)])
def test_what_has_to_come_in_time_is_tried_five_times(holds, tries):
    left = iter(holds)
    assert in_one_of_five(lambda: next(left)) == any(holds)
    assert len(list(left)) == len(holds) - tries


def collected(order, *options):
    line = [sys.executable, "-m", "pytest", "--collect-only", "-q", *options]
    line += ["tests/test_clock.py", "tests/test_walking.py"]
    done = subprocess.run(
        line, capture_output=True, text=True, check=True, env=os.environ | {"RAYCES_ORDER": order, "COLUMNS": "200"}
    )
    return [each for each in done.stdout.splitlines() if "::" in each]


@pytest.mark.slow
def test_an_order_by_chance_has_every_test_and_is_known_by_its_number():
    usual, one, again, other = collected("1"), *(collected(each, "-p", "tests.shuffled") for each in ("1", "1", "2"))
    assert one == again
    assert len({tuple(usual), tuple(one), tuple(other)}) == 3
    assert sorted(usual) == sorted(one) == sorted(other)
    modules = [each.partition("::")[0] for each in one]
    assert len([module for module, _ in itertools.groupby(modules)]) == len(set(modules)) == 2
