"""Stretches of days, as people write them: a month, a day, or two days with dots between."""

from typing import Final, NamedTuple

from events.calendar import DAY, add_months, iso_day, parse_day, start_of
from events.errors import Refused, ValidationError
from projections.instants import literal

FORMS: Final = "a month (2026-11), a day (2026-11-03) or FROM..TO (2026-11-03..2026-11-09)"


class Period(NamedTuple):
    """From the first day to the last, both included, in UTC."""

    first_on: int
    last_on: int

    @property
    def start(self) -> str:
        """The first instant, as SQL has it."""
        return literal(start_of(self.first_on))

    @property
    def end(self) -> str:
        """The first instant after it, as SQL has it."""
        return literal(start_of(self.last_on) + DAY)

    def __str__(self) -> str:
        return f"{iso_day(self.first_on)}..{iso_day(self.last_on)}"


def parse(text: str) -> Period:
    """The period that a text means; Refused for anything else."""
    first, dots, last = text.partition("..")
    try:
        if dots:
            found = Period(parse_day(first), parse_day(last))
        elif len(text) == len("2026-11"):
            first_on = parse_day(f"{text}-01")
            found = Period(first_on, add_months(first_on, 1) - 1)
        else:
            found = Period(parse_day(text), parse_day(text))
    except ValidationError as error:
        raise Refused(f"{text!r} is no period ({error}): name {FORMS}") from error
    if found.last_on < found.first_on:
        raise Refused(f"{text} ends before it begins: name the earlier day first")
    return found
