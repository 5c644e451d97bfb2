"""How fresh an answer is, said beside it: a line on standard error for people, a field for scripts."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from events.errors import TallystickError
from infra.options import settings_of
from infra.output import instant
from infra.settings import Value, path_of
from projections.as_of import PastReader
from projections.freshness import Freshness, freshness_of, taken

if TYPE_CHECKING:
    from projections.port import Database, Place, Position


def beside(db: "Database") -> Freshness:
    """The freshness of an answer from this store, with how far behind the log of the settings it is."""
    as_of = db.cut.text if isinstance(db, PastReader) else ""
    positions, _ = taken(db)
    log = settings_of(click.get_current_context()).value("log")
    return msgspec.structs.replace(freshness_of(db), behind=behind(positions, log), as_of=as_of)


def behind(positions: "dict[Place, Position]", log: Value) -> int | None:
    """How many records the log holds that the store has not taken; None where that cannot be seen.

    That is so where there is no such log, where it is not the one that the store was filled from (the chain value of
    a record tells), and on Kafka, where asking would take longer than the answer.
    """
    with suppress(TallystickError, OSError):
        return _behind(positions, path_of(log, "sqlite"))
    return None


def _behind(positions: "dict[Place, Position]", path: Path) -> int | None:
    from contextlib import closing

    from streams.hosts.embedded import EmbeddedLog
    from streams.topology import LOGS

    with closing(EmbeddedLog(path, read_only=True)) as log:
        missing = 0
        for place in log.places():
            if place[0] not in LOGS:
                continue
            position = positions.get(place)
            end = log.end(*place)
            if position is None:
                missing += end
                continue
            last = log.read(*place, position.next - 1, 1)
            if not last or last[0].chain != position.chain:
                return None
            missing += end - position.next
        return missing


def line(fresh: Freshness) -> str:
    """The freshness in words: ``228,782 events, up to 2026-03-28T00:00:00Z; 12 behind the log``."""
    if fresh.up_to is None:
        return "nothing projected yet"
    parts = [f"as of {fresh.as_of}; the store holds " if fresh.as_of else ""]
    parts.append(f"{fresh.events:,} events, up to {instant(fresh.up_to)}")
    match fresh.behind:
        case None:
            pass
        case 0:
            parts.append(", all there is in the log")
        case count:
            parts.append(f"; {count:,} behind the log")
    return "".join(parts)


def remark_freshness(fresh: Freshness, before: str = "") -> None:
    """The line on standard error, dim on a terminal."""
    text = f"{before}{line(fresh)}"
    click.echo(click.style(text, dim=True) if sys.stderr.isatty() else text, err=True)


def field(fresh: Freshness) -> dict[str, Any]:
    """The freshness as a field of a JSON value."""
    return msgspec.structs.asdict(fresh)
