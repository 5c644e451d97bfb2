"""Where a process is to die: the points, how often they are passed, and what is no such thing."""

import os
import signal

import pytest

from events.errors import Refused
from infra.crashing import VARIABLE, reach_of


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[signal.Signals]:
    """The signals that this process would have sent itself."""
    found: list[signal.Signals] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: found.append(number) if pid == os.getpid() else None)
    return found


@pytest.mark.parametrize(
    ("given", "points", "expected"),
    [
        ("after-fence", ["after-fence"], [signal.SIGKILL]),
        ("after-fence:2", ["after-fence"], []),
        ("after-fence:2", ["after-fence", "after-commit", "after-fence"], [signal.SIGKILL]),
        ("after-rows:1:stop", ["after-rows", "after-rows"], [signal.SIGSTOP]),
        (
            "after-produce:2:stop,after-commit:1",
            ["after-produce", "after-produce", "after-commit"],
            [signal.SIGSTOP, signal.SIGKILL],
        ),
    ],
)
def test_it_dies_where_it_is_told(
    sent: list[signal.Signals], given: str, points: list[str], expected: list[signal.Signals]
) -> None:
    """At the named point, when it has been passed so often, and there alone."""
    reach = reach_of({VARIABLE: given})
    for point in points:
        reach(point)
    assert expected == sent


@pytest.mark.parametrize(
    "given", ["nowhere", "after-fence:x", "after-fence:1:go", "after-fence,", "after-fence 1"]
)
def test_a_point_that_there_is_not_is_refused(given: str) -> None:
    """A test that kills nobody would prove nothing."""
    with pytest.raises(Refused, match="POINT:TIMES"):
        reach_of({VARIABLE: given})


def test_without_the_variable_nobody_dies(sent: list[signal.Signals]) -> None:
    """As in every house that is not being tortured."""
    reach_of({})("after-fence")
    assert [] == sent
