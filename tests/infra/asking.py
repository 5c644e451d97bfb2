"""The command line in this process, and stores on each database to ask."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from infra.commandline import run
from projections.store import SqlStore
from tests.projections.stores import Stores
from tests.projections.story import Story


class Answer(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> Any:
        """Its one JSON value; fails where the command did."""
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def shown(self) -> str:
        """What a person reads; fails where the command did."""
        assert self.code == 0, self.err
        return self.out


class Tallystick:
    """Runs the command line against one store."""

    def __init__(self, capsys: pytest.CaptureFixture[str], address: str) -> None:
        self._capsys = capsys
        self.address = address

    def __call__(self, *arguments: str) -> Answer:
        code = run(list(arguments))
        captured = self._capsys.readouterr()
        return Answer(code, captured.out, captured.err)


@contextmanager
def told(stores: Stores, story: Story) -> Iterator[str]:
    """The address of a store that has taken a story, and that nobody has open."""
    store: SqlStore = stores.filled(story)
    store.close()
    yield stores.address(store)
