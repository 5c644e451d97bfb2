"""``tallystick dead-letters``: what could not be taken."""

from pathlib import Path
from typing import Final

import click

from infra.kafka.options import keys_option
from infra.logs import looking_at, place_of
from infra.options import any_log_option, json_option, kafka_config_option
from infra.output import console, remark, table, to_json
from infra.settings import Value

_LINE_BYTES: Final = 16
_SHOWN_BYTES: Final = 64 * _LINE_BYTES

number_argument: Final = click.argument("number", metavar="N", type=click.IntRange(0))


@click.group("dead-letters")
def dead_letters() -> None:
    """What could not be taken: its reason in clear, its bytes sealed."""


@dead_letters.command("list")
@any_log_option
@kafka_config_option
@click.option("--last", type=click.IntRange(1), metavar="N", help="The newest alone.  [default: all]")
@json_option
def list_(log: Value, kafka_config: Path | None, last: int | None, as_json: bool) -> None:
    """Every dead letter: where it stood and why it was put aside. Needs no key."""
    from collections import deque

    from infra.deadletters import letters

    with looking_at(place_of(log, kafka_config)) as opened:
        rows = list(deque((found.described() for found in letters(opened)), maxlen=last))
    if as_json:
        click.echo(to_json(rows))
    elif rows:
        columns = ("number", "put_aside_at", "topic", "partition", "offset", "reason", "detail", "key_id")
        lines = [[row[name] for name in columns] for row in rows]
        titles = [name.replace("_", " ") for name in columns]
        console().print(table("", titles, lines, right=("number", "partition", "offset")))
    else:
        console().print("There are no dead letters.")


@dead_letters.command()
@number_argument
@any_log_option
@kafka_config_option
@click.option(
    "--reveal", is_flag=True, help="Open it with the vault's private key; card numbers stay covered."
)
@keys_option
@json_option
def show(number: int, log: Value, kafka_config: Path | None, reveal: bool, keys: Path, as_json: bool) -> None:
    """One dead letter, and what it holds where --reveal is given."""
    from infra.deadletters import content, letter, unsealed

    with looking_at(place_of(log, kafka_config)) as opened:
        found = letter(opened, number)
    described = found.described()
    held = content(unsealed(found, keys)) if reveal else None
    if as_json:
        click.echo(to_json(described if held is None else {**described, "content": held._asdict()}))
        return
    rows = [(name.replace("_", " "), value) for name, value in described.items()]
    if held is not None:
        rows += [("bytes", held.size), ("holds", held.type or held.problem)]
        rows += [(f"  {name}", value) for name, value in held.fields.items()]
    made = table("", ("", ""), rows)
    made.show_header = False
    screen = console()
    screen.print(made)
    if held is None:
        remark("--reveal opens it, where the vault's private key is.")
        return
    pairs = held.hexadecimal[: 2 * _SHOWN_BYTES]
    screen.print()
    for start in range(0, len(pairs), 2 * _LINE_BYTES):
        line = pairs[start : start + 2 * _LINE_BYTES]
        screen.print(" ".join(line[at : at + 2] for at in range(0, len(line), 2)), markup=False)
    if held.size > _SHOWN_BYTES:
        remark(f"{held.size - _SHOWN_BYTES:,} more bytes; --json has all of them.")


@dead_letters.command()
@number_argument
@any_log_option
@kafka_config_option
@keys_option
@json_option
def retry(number: int, log: Value, kafka_config: Path | None, keys: Path, as_json: bool) -> None:
    """Publish a dead letter again where its reason may be over: after an upgrade, say.

    The new record stands on the topic that the letter came from and names the letter in a header. Called again, it says
    where that record is. Exit code 2: it cannot help; 3: in doubt, call it again.
    """
    from events.errors import Refused
    from infra import deadletters

    place = place_of(log, kafka_config)
    if isinstance(place, Path):
        raise Refused(deadletters.NOT_IN_VIRTUAL_TIME)
    done = deadletters.retry(place, number, keys)
    if as_json:
        click.echo(to_json({"number": number, **done._asdict()}))
        return
    where = f"{done.topic}/{done.partition} at {done.offset}"
    click.echo(
        f"Dead letter {number} was published again before, as {where}."
        if done.before
        else f"Dead letter {number} is published again, as {where}."
    )
