"""What somebody knows of payments: a CSV file with ``payment_id``, ``fraud`` and, if known, ``known_at``.

``fraud`` is 1 or 0 (true or false); ``known_at`` a time in ISO 8601 with its offset or a ``Z``, or whole microseconds
since 1970. A label without a time says what a payment was, and no feature sees it. A payment that is labelled twice is
refused: nobody can tell which of the two is right.
"""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from events.errors import Refused, Unavailable
from streams.forensics.backtest import Label

MOST_LABELS: Final = 10_000_000
_FRAUD: Final = {"1": True, "0": False, "true": True, "false": False}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_labels(path: Path) -> dict[str, Label]:
    """The labels of a file by payment; Refused names the line that cannot be one."""
    found: dict[str, Label] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if not {"payment_id", "fraud"} <= set(rows.fieldnames or ()):
                raise Refused(
                    f"{path}: the first line names the columns payment_id, fraud and perhaps known_at"
                )
            for row in rows:
                line = rows.line_num
                name, fraud = (row["payment_id"] or "").strip(), (row["fraud"] or "").strip().lower()
                if not name or fraud not in _FRAUD:
                    raise Refused(f"{path}, line {line}: a payment_id, and a fraud that is 1 or 0")
                label = Label(_FRAUD[fraud], _instant(path, line, (row.get("known_at") or "").strip()))
                if found.setdefault(name, label) is not label:
                    raise Refused(f"{path}, line {line}: {name} has a label already")
                if len(found) > MOST_LABELS:
                    raise Refused(f"{path} has more than {MOST_LABELS:,} labels")
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{path} is no CSV file in UTF-8: {error}") from error
    return found


def instant_of(text: str) -> int | None:
    """Microseconds since 1970 of a time with its offset, or of whole microseconds; None where it is neither."""
    if text.isascii() and text.lstrip("-").isdigit():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at - _EPOCH) // timedelta(microseconds=1) if at.tzinfo is not None else None


def _instant(path: Path, line: int, text: str) -> int | None:
    if not text:
        return None
    at = instant_of(text)
    if at is None:
        raise Refused(f"{path}, line {line}: known_at is a time like 2026-03-02T09:00:00Z")
    return at
