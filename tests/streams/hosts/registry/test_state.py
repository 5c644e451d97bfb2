"""What may be registered, what is found, and what is left after deleting: decisions, without a server."""

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pytest

from streams.hosts.registry import state as module
from streams.hosts.registry.avro import Schema, parse
from streams.hosts.registry.compatibility import Level
from streams.hosts.registry.ours import FOREIGN_IDS, Ours
from streams.hosts.registry.records import decode, encode
from streams.hosts.registry.refusal import Code, RegistryRefused
from streams.hosts.registry.state import Decision, State

T = TypeVar("T")
OURS: Final = Ours("house")


def schema(*names: str, required: bool = False, **attributes: Any) -> Schema:
    """A record R of numbers, optional ones unless said otherwise."""
    rows = [{"name": name, "type": "int", **({} if required else {"default": 0})} for name in names]
    return parse(json.dumps({"type": "record", "name": "R", "fields": rows, **attributes}))


class Desk:
    """A state, and what was written to it; each record goes through its bytes."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, bytes | None]] = []
        self.state = State(OURS)

    def do(self, decision: Decision[T]) -> T:
        """Write what a decision asks for; its answer."""
        for record in decision.records:
            self.written.append(encode(record))
            read = decode(*self.written[-1])
            assert record == read
            self.state.evolve(read)
        return decision.answer

    def register(self, subject: str, one: Schema, *, normal: bool = False) -> int:
        """The id."""
        return self.do(self.state.register(subject, one, normal=normal))

    def compacted(self) -> State:
        """What somebody sees who reads the topic after it has been compacted."""
        last = {key: place for place, (key, _) in enumerate(self.written)}
        other = State(OURS)
        for place in sorted(last.values()):
            record = decode(*self.written[place])
            assert record is not None
            other.evolve(record)
        return other


@pytest.fixture
def desk() -> Desk:
    """Nothing but ours."""
    return Desk()


def refused(code: Code, call: Callable[[], Any]) -> None:
    """A call is refused with a code."""
    with pytest.raises(RegistryRefused) as caught:
        call()
    assert code == caught.value.code


def test_ids_and_versions_count_up(desk: Desk) -> None:
    """A schema has one id wherever it is registered, and a version under each subject."""
    first, second = FOREIGN_IDS, FOREIGN_IDS + 1
    assert [first, second, first, second, first] == [
        desk.register("s", schema("a")),
        desk.register("s", schema("a", "b")),
        desk.register("s", schema("a")),
        desk.register("t", schema("a", "b")),
        desk.register("t", schema("a")),
    ]
    assert [[1, 2], [1, 2]] == [desk.state.versions("s"), desk.state.versions("t")]
    assert [("s", 1), ("t", 2)] == [place[:2] for place in desk.state.places(first)]
    assert schema("a").text == desk.state.schema(first).text
    assert 4 == len(desk.written)


def test_what_a_subject_has_is_looked_up(desk: Desk) -> None:
    """By content; names in full count as the same only when asked for."""
    named = schema("a", namespace="x")
    desk.register("s", named)
    full = parse(named.normal)
    assert 1 == desk.state.lookup("s", parse(json.dumps(json.loads(named.text), indent=4))).version
    assert 1 == desk.state.lookup("s", full, normal=True).version
    refused(Code.SCHEMA_NOT_FOUND, lambda: desk.state.lookup("s", full))
    refused(Code.SUBJECT_NOT_FOUND, lambda: desk.state.lookup("t", named))
    assert FOREIGN_IDS == desk.register("s", full, normal=True)


def test_a_level_is_kept_to(desk: Desk) -> None:
    """BACKWARD unless something else is said, for one subject or for all."""
    desk.register("s", schema("a"))
    bad = schema("a", "b", required=True)
    refused(Code.INCOMPATIBLE_SCHEMA, lambda: desk.state.register("s", bad))
    assert ["reading old values: b: the field is not written, and the reader has no default for it"] == (
        desk.state.problems("s", bad)
    )
    desk.do(desk.state.set_level("s", Level.NONE))
    assert [] == desk.state.problems("s", bad)
    assert Level.NONE == desk.do(desk.state.delete_level("s"))
    refused(Code.SUBJECT_NOT_FOUND, lambda: desk.state.delete_level("s"))
    desk.do(desk.state.set_level(None, Level.FORWARD))
    desk.register("s", bad)
    refused(Code.LEVEL_NOT_CONFIGURED, lambda: desk.state.level("s"))
    assert Level.FORWARD == desk.state.level("s", inherit=True) == desk.do(desk.state.delete_level(None))
    assert Level.BACKWARD == desk.state.level("s", inherit=True) == desk.state.level(None)
    assert () == desk.state.delete_level(None).records


def test_a_version_is_compared_alone(desk: Desk) -> None:
    """Where one is named, the others do not matter."""
    desk.do(desk.state.set_level("s", Level.NONE))
    desk.register("s", schema("a"))
    desk.register("s", parse('"string"'))
    desk.do(desk.state.set_level("s", Level.FULL_TRANSITIVE))
    wider = schema("a", "b")
    assert [False, True, False] == [not desk.state.problems("s", wider, version) for version in (None, 1, 2)]
    refused(Code.VERSION_NOT_FOUND, lambda: desk.state.problems("s", wider, 3))
    refused(Code.VERSION_NOT_FOUND, lambda: desk.state.problems("t", wider, 1))
    assert [] == desk.state.problems("t", wider)


def test_deleting_takes_two_steps(desk: Desk) -> None:
    """First it is hidden and its id still stands for it; then it is gone. Each step once."""
    for names in (["a"], ["a", "b"], ["a", "b", "c"]):
        desk.register("s", schema(*names))
    state = desk.state
    assert 2 == desk.do(state.delete_version("s", 2))
    assert 3 == desk.do(state.delete_version("s", None))
    assert ([1], [1, 2, 3]) == (state.versions("s"), state.versions("s", deleted=True))
    assert (1, 2) == (state.version("s", None).version, state.version("s", 2, deleted=True).version)
    refused(Code.VERSION_NOT_FOUND, lambda: state.version("s", 2))
    refused(Code.VERSION_SOFT_DELETED, lambda: state.delete_version("s", 2))
    refused(Code.VERSION_NOT_SOFT_DELETED, lambda: state.delete_version("s", 1, permanent=True))
    refused(Code.INVALID_VERSION, lambda: state.delete_version("s", None, permanent=True))
    refused(Code.SUBJECT_NOT_SOFT_DELETED, lambda: state.delete_subject("s", permanent=True))
    assert 2 == desk.do(state.delete_version("s", 2, permanent=True))
    refused(Code.VERSION_NOT_FOUND, lambda: state.delete_version("s", 2))
    refused(Code.SCHEMA_NOT_FOUND, lambda: state.schema(FOREIGN_IDS + 1))
    assert schema("a", "b", "c").text == state.schema(FOREIGN_IDS + 2).text

    desk.do(state.set_level("s", Level.NONE))
    assert [1] == desk.do(state.delete_subject("s"))
    assert ([], ["s"]) == tuple(
        [name for name in state.subjects(deleted=deleted) if not OURS.owns(name)] for deleted in (False, True)
    )
    assert Level.BACKWARD == state.level("s", inherit=True)
    refused(Code.SUBJECT_NOT_FOUND, lambda: state.versions("s"))
    refused(Code.SUBJECT_SOFT_DELETED, lambda: state.delete_subject("s"))
    assert [1, 3] == desk.do(state.delete_subject("s", permanent=True))
    refused(Code.SUBJECT_NOT_FOUND, lambda: state.delete_subject("s", permanent=True))
    refused(Code.SUBJECT_NOT_FOUND, lambda: state.version("s", 1, deleted=True))


def test_what_is_hidden_can_be_registered_again(desk: Desk) -> None:
    """With its old id and a new version; what is hidden is not compared with."""
    desk.register("s", schema("a"))
    desk.do(desk.state.delete_subject("s"))
    other = parse('"string"')
    assert [FOREIGN_IDS + 1, FOREIGN_IDS] == [
        desk.register("s", other),
        desk.do(desk.state.delete_version("s", 2)) and desk.register("s", schema("a")),
    ]
    assert [3] == desk.state.versions("s")


def test_an_id_is_never_given_twice(desk: Desk) -> None:
    """Not even when all that had it is gone for good, and the topic has been compacted; versions begin anew."""
    desk.register("s", schema("a"))
    desk.do(desk.state.delete_subject("s"))
    desk.do(desk.state.delete_subject("s", permanent=True))
    desk.state = desk.compacted()
    refused(Code.SCHEMA_NOT_FOUND, lambda: desk.state.schema(FOREIGN_IDS))
    assert FOREIGN_IDS + 1 == desk.register("s", schema("a"))
    assert [1] == desk.state.versions("s")
    assert FOREIGN_IDS + 2 == State.register(desk.compacted(), "s", schema("a", "b")).answer


def test_a_compacted_topic_says_the_same(desk: Desk) -> None:
    """Whatever was overwritten on the way."""
    desk.do(desk.state.set_level(None, Level.NONE))
    for subject in ("s", "t", "u"):
        desk.register(subject, schema("a"))
        desk.register(subject, schema(subject))
    desk.do(desk.state.delete_version("s", 1))
    desk.do(desk.state.delete_version("s", 1, permanent=True))
    desk.do(desk.state.delete_subject("t"))
    desk.do(desk.state.set_level("u", Level.FULL))
    desk.do(desk.state.set_level("u", Level.FORWARD))
    other = desk.compacted()
    assert desk.state.subjects(deleted=True) == other.subjects(deleted=True)
    for subject in ("s", "t", "u"):
        for number in desk.state.versions(subject, deleted=True):
            ours, theirs = (state.version(subject, number, deleted=True) for state in (desk.state, other))
            assert ours[:3] == theirs[:3]
            assert ours.schema.text == theirs.schema.text
    assert Level.FORWARD == other.level("u")


@pytest.mark.parametrize("subject", ["", "__GLOBAL", "__EMPTY", "a\nb", "x" * (module.SUBJECT_LETTERS + 1)])
def test_a_bad_subject_is_refused(desk: Desk, subject: str) -> None:
    """Names that nobody could read, and those that mean something else to Confluent's own."""
    refused(Code.INVALID_SUBJECT, lambda: desk.state.register(subject, schema("a")))
    refused(Code.INVALID_SUBJECT, lambda: desk.state.set_level(subject, Level.NONE))


def test_there_is_an_end_to_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is in memory, so there is a bound on schemas and on versions."""
    monkeypatch.setattr(module, "VERSIONS", 2)
    monkeypatch.setattr(module, "SCHEMAS", len(OURS.published) + 3)
    for number in range(3):
        desk.register(f"s{number}", schema(f"f{number}"))
    refused(Code.NOT_PERMITTED, lambda: desk.state.register("s", schema("a")))
    desk.register("s0", schema("f1"))
    refused(Code.NOT_PERMITTED, lambda: desk.state.register("s0", schema("f2")))


STRANGE: Final = (
    (None, b"{}"),
    (b"", b"{}"),
    (b"[", b"{}"),
    (b"\xff", b"{}"),
    (b'{"keytype":"NOOP","magic":0}', None),
    (b'{"keytype":"SCHEMA","subject":"s","version":0}', b'{"id":1,"schema":"","deleted":false}'),
    (b'{"keytype":"SCHEMA","subject":"s","version":1}', b'{"id":4294967296,"schema":"","deleted":false}'),
    (b'{"keytype":"SCHEMA","subject":"s","version":1}', b'{"id":100000}'),
    (b'{"keytype":"SCHEMA","subject":"s","version":1}', None),
    (b'{"keytype":"CONFIG","subject":7}', b'{"compatibilityLevel":"FULL"}'),
    (b'{"keytype":"CONFIG","subject":null}', b'{"compatibilityLevel":"HIGH"}'),
)


@pytest.mark.parametrize(("key", "value"), STRANGE)
def test_a_strangers_record_is_none(key: bytes | None, value: bytes | None) -> None:
    """Anybody may write to a topic; what is not ours says nothing."""
    assert decode(key, value) is None
