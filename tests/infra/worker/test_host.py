"""What a worker's process comes to in the end."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from events.errors import Broken, Unavailable
from infra.worker import host


def outcome(
    crashed: Exception | None, received: signal.Signals | None, failure: Exception | None = None
) -> int:
    """Of a host with these ends, and an engine that ended with this."""
    ended: Any = SimpleNamespace(crash_reason=crashed, received=received)
    engine: Any = SimpleNamespace(failure=failure)
    return host._outcome(ended, engine)


STUMBLED = RuntimeError("dictionary changed size during iteration")


def test_what_faust_stumbles_over_when_it_leaves_is_a_remark(caplog: pytest.LogCaptureFixture) -> None:
    """The engine had settled before; the end is what the signal asks for."""
    assert outcome(STUMBLED, signal.SIGTERM) == 0
    assert "Faust left badly: RuntimeError" in caplog.text
    with pytest.raises(KeyboardInterrupt):
        outcome(STUMBLED, signal.SIGINT)


def test_an_end_that_nobody_asked_for_is_an_error() -> None:
    """Whoever starts the process again is to know."""
    with pytest.raises(Unavailable, match="Faust has ended: RuntimeError"):
        outcome(STUMBLED, None)
    with pytest.raises(Broken, match="differs"):
        outcome(STUMBLED, signal.SIGTERM, Broken("it differs"))
    assert outcome(None, signal.SIGTERM) == 0
