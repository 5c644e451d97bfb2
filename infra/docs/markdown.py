"""Markdown out of docstrings and rows."""

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

WRITTEN: Final = (
    "<!-- Written by `python -m infra.docs` from the code. Do not edit: change the code and run it. -->"
)

_ROLE: Final = re.compile(r":\w+:`~?([^`]+)`")


def prose(text: str) -> str:
    """reStructuredText as docstrings have it, in Markdown, a paragraph a line."""
    text = _ROLE.sub(r"`\1`", inspect.cleandoc(text)).replace("``", "`")
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def docstring(thing: Any) -> str:
    """The docstring of a class or a module, as Markdown."""
    return prose(thing.__doc__ or "")


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells may hold any text but line breaks."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def page(*parts: str) -> str:
    """The parts of a page, an empty line between them."""
    return "\n\n".join(parts) + "\n"
