"""What our own people decide, as reference data: rows for an input file, to be published like any other."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from streams.edge.reference import Entry

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


_INTO: Final = click.option("--into", type=_FILE, help="An input file to add it to.")
_NEXT_VERSION: Final = click.option(
    "--next-version",
    metavar="N",
    type=click.IntRange(min=1),
    help="Without --into: the version that the reference topic has next.",
)
_OUT: Final = click.option("--out", type=_FILE, required=True, help="The input file to write.")


def publishing_options(command: Any) -> Any:
    """Where the rows go: into an input of a run in virtual time, or into a file of their own for a running house."""
    at = click.option("--at", metavar="TIME", help="When it is published.")
    return _INTO(at(_NEXT_VERSION(_OUT(command))))


def standing_options(command: Any) -> Any:
    """The same for what may be in force from the beginning, and needs no time."""
    words = "When it is published, with --into.  [default: before the first request]"
    at = click.option("--at", metavar="TIME", help=words)
    return _INTO(at(_NEXT_VERSION(_OUT(command))))


def instant_of(option: str, text: str) -> int:
    """A time given on the command line, microseconds UTC; Refused where it is none."""
    from events.calendar import parse_instant
    from events.errors import Refused, ValidationError

    try:
        return parse_instant(text)
    except ValidationError as error:
        raise Refused(f"{option}: {error}; a time looks like 2026-03-02T14:30:00Z") from error


def write_entries(
    entries: "Sequence[Entry]",
    into: Path | None,
    at: str | None,
    next_version: int | None,
    out: Path,
    *,
    needs_time: bool = True,
) -> dict[str, Any]:
    """Write the rows; what came of it. Refused where an entry is not what its kind says.

    What does not need a time is published before the first request where none is given.
    """
    from events.errors import Refused, ValidationError
    from events.reference import decode_reference, encode_reference
    from events.requests import InputRow
    from streams.edge.amended import amended
    from streams.edge.inputs import hash_of, read_rows, write_rows
    from streams.edge.reference import published

    if (into is None) == (next_version is None):
        raise Refused(
            "name either the input to add to (--into) or the next version of the topic (--next-version)"
        )
    if needs_time and into is not None and at is None:
        raise Refused("say with --at when it is published")
    for entry in entries:
        try:
            decode_reference(entry.kind, encode_reference(entry.content))
        except ValidationError as error:
            raise Refused(f"{entry.kind} {entry.ref_id}: {error}") from error
    moment = None if at is None else instant_of("--at", at)
    if into is not None:
        rows = amended(read_rows(into), entries, moment)
    else:
        rows = (InputRow(moment or 0, entry) for entry in published(entries, next_version or 1))
    label = "/".join(f"{entry.kind} {entry.ref_id}" for entry in entries)
    written = write_rows(out, rows, label)
    return {"file": str(out), "rows": written, "entries": len(entries), "sha256": hash_of(out)}


def tell(result: dict[str, Any], as_json: bool) -> None:
    """Say what was written, and what to do with it."""
    from infra.output import to_json

    if as_json:
        click.echo(to_json(result))
        return
    click.echo(
        f"{result['file']}: {result['entries']} entries of reference data in {result['rows']:,} rows.\n"
        "It is in force when it is published: tallystick publish, or tallystick demo --fresh --input."
    )
