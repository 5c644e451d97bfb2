"""``docs/reasons.md``: every closed set of words in the contract, with the meaning of each word."""

import ast
import inspect
from enum import StrEnum
from textwrap import dedent
from typing import Final

from events.avro import enums_within
from events.catalog import EVENTS, FAMILIES, MESSAGES
from events.errors import Refused
from infra.docs.markdown import WRITTEN, docstring, page, prose, table
from streams.features.approvals import DECLINES, OTHER_DECLINE

_ABOUT: Final = """\
A business "no" is an event with a reason, and the reasons are closed sets: a program can tell them all apart. On the
wire they are texts, so that a reader who meets a word of a later version goes on reading."""
_CODES: Final = """\
What an issuer's response code (DE 39) becomes, one vocabulary for all networks."""


def text() -> str:
    """The page; Refused where a word has no meaning beside it."""
    return page(
        WRITTEN,
        "# Reasons, and other words with a meaning",
        _ABOUT,
        *(_section(words) for words in vocabularies()),
        *_codes(),
    )


def vocabularies() -> list[type[StrEnum]]:
    """Every closed set of the contract, in the order of the families."""
    return [
        value
        for family in FAMILIES
        for value in vars(family).values()
        if isinstance(value, type) and issubclass(value, StrEnum) and value.__module__ == family.__name__
    ]


def meanings(words: type[StrEnum], source: str | None = None) -> dict[str, str]:
    """What each word means: the text below it in the source of its class."""
    body = ast.parse(dedent(source or inspect.getsource(words))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, below in zip(body.body, [*body.body[1:], ast.Pass()], strict=True):
        match statement, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(meaning))):
                found[name] = prose(meaning)
            case _:
                pass
    missing = [word.name for word in words if word.name not in found]
    if missing:
        raise Refused(f"{words.__name__}: write below {', '.join(missing)} what it means")
    return found


def _section(words: type[StrEnum]) -> str:
    said = meanings(words)
    bearers = [cls.__name__ for cls in (*EVENTS, *MESSAGES) if words in enums_within(cls)]
    where = ", ".join(f"[{name}](events.md#{name.lower()})" for name in bearers)
    rows = ((f"`{word.value}`", said[word.name]) for word in words)
    parts = [f"## {words.__name__}", docstring(words), table(("word", "meaning"), rows)]
    return "\n\n".join([*parts, f"In {where}."] if where else parts)


def _codes() -> list[str]:
    rows = [(code, *map(str, meaning)) for code, meaning in sorted(DECLINES.items())]
    rows.append(("any other", *map(str, OTHER_DECLINE)))
    return ["## Response codes", _CODES, table(("code", "reason", "advice"), rows)]
