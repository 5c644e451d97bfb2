"""What a process of a house writes to standard error: lines for people or for machines, never with a card number.

Structured lines are JSON objects with ``at``, ``level``, ``logger``, ``message`` and, where there is one, ``error``.
"""

import asyncio
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

import msgspec

from events.identity import MASKED, looks_like_pan

TEXT, JSON = "text", "json"
#: Groups of digits as card numbers are written, at least four digits long in all.
_DIGITS: Final = re.compile(r"\d[\d\s-]{2,}\d")
#: Libraries that tell of every step are shown later than we. Faust's words about a service of ours carry the name of
#: its module; our own words are those of ``tallystick``.
_LIBRARIES: Final = ("aiokafka", "aiohttp", "asyncio", "faust", "infra.worker", "kafka", "mode")
_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)
_LIBRARY_LEVELS: Final = (logging.CRITICAL, logging.WARNING, logging.INFO)


def begin(verbosity: int, style: str, stream: TextIO | None = None) -> None:
    """Send what is logged to standard error: warnings of ours, with each -v more."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLines() if style == JSON else _Lines())
    handler.addFilter(_is_news)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    step = min(verbosity, len(_LEVELS) - 1)
    root.setLevel(_LEVELS[step])
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(_LIBRARY_LEVELS[step])


def redacted(text: str) -> str:
    """``text`` without what may be a card number; fails closed."""
    if not looks_like_pan(text):
        return text
    without = _DIGITS.sub(MASKED, text)
    return MASKED if looks_like_pan(without) else without


def _is_news(record: logging.LogRecord) -> bool:
    """Faust tells of every agent that it cancels, at every rebalance and at the end, as of a crash."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)


class _Lines(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class _JsonLines(logging.Formatter):
    """For machines: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        line = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = redacted(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()
