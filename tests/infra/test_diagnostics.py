"""What is logged goes to one place, in one form, and without card numbers."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from infra import diagnostics
from infra.diagnostics import JSON, TEXT, begin, redacted

PAN = "4111 1111 1111 1111"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """pytest has handlers of its own on the root."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in diagnostics._LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def lines(verbosity: int = 0, style: str = JSON) -> io.StringIO:
    """Where diagnostics go from now on."""
    stream = io.StringIO()
    begin(verbosity, style, stream)
    return stream


def test_a_line_is_one_json_object() -> None:
    """Also where the message has line breaks and an exception comes with it."""
    stream = lines()
    try:
        raise RuntimeError("no\nway")
    except RuntimeError:
        logging.getLogger("tallystick.x").exception("it %s", "failed")
    (line,) = stream.getvalue().splitlines()
    said = json.loads(line)
    assert ["at", "level", "logger", "message", "error"] == list(said)
    assert ("error", "tallystick.x", "it failed") == (said["level"], said["logger"], said["message"])
    assert said["at"].endswith("Z")
    assert said["error"].endswith("RuntimeError: no\nway")


@pytest.mark.parametrize("style", [TEXT, JSON])
def test_a_card_number_is_covered(style: str) -> None:
    """In the message, in an argument and in the text of an exception."""
    stream = lines(style=style)
    log = logging.getLogger("tallystick.x")
    log.error("card %s is bad", PAN)
    log.error("card %s is bad", PAN.replace(" ", ""))
    try:
        raise ValueError(PAN.replace(" ", "-"))
    except ValueError:
        log.exception("bad")
    text = stream.getvalue()
    assert "1111" not in text
    assert 3 <= text.count("****")
    assert "card **** is bad" in text


def test_redaction_fails_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a number is still to be seen afterwards, nothing is."""
    assert "order 17 of 2026-03-02" == redacted("order 17 of 2026-03-02")
    monkeypatch.setattr("infra.diagnostics.looks_like_pan", lambda _: True)
    assert "****" == redacted("anything")


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        (0, ["ours warning"]),
        (1, ["ours info", "ours warning", "library warning"]),
        (2, ["ours debug", "ours info", "ours warning", "library info", "library warning"]),
        (9, ["ours debug", "ours info", "ours warning", "library info", "library warning"]),
    ],
)
def test_libraries_are_shown_later_than_we(verbosity: int, shown: list[str]) -> None:
    """Without -v a worker that is well says nothing."""
    stream = lines(verbosity)
    for name, source in (("tallystick.worker", "ours"), ("faust.app", "library")):
        log = logging.getLogger(name)
        for level in ("debug", "info", "warning"):
            getattr(log, level)("%s %s", source, level)
    assert shown == [json.loads(line)["message"] for line in stream.getvalue().splitlines()]


def test_what_faust_cancels_is_no_crash() -> None:
    """It says so of every agent at every rebalance, with a stack."""
    stream = lines(2)
    for error in (asyncio.CancelledError(), RuntimeError("real")):
        try:
            raise error
        except BaseException:
            logging.getLogger("faust.agents").exception("Crashed")
    (line,) = stream.getvalue().splitlines()
    assert "real" in line
