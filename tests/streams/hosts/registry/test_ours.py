"""Our own schemas: where they are found, by whom, and that nobody can change them."""

import json
from typing import Any, Final

import pytest

import schemas
from events.catalog import EVENTS, MESSAGES
from events.requests import PaymentRequest
from events.wire import schema_id
from streams.hosts.registry.avro import Schema, parse
from streams.hosts.registry.compatibility import Level
from streams.hosts.registry.ours import FOREIGN_IDS, Ours, Published
from streams.hosts.registry.records import VersionWritten
from streams.hosts.registry.refusal import Code, RegistryRefused
from streams.hosts.registry.state import State
from streams.topology import TOPICS

OURS: Final = Ours("house")
REQUESTS: Final = (
    "PaymentRequest CaptureRequest VoidRequest RefundRequest IncrementRequest EvidenceRequest SettingsRequest"
).split()


def text(name: str) -> str:
    """A schema of ours as it stands in its file, the newest of its record."""
    (version,) = [cls.VERSION for cls in MESSAGES if cls.__name__ == name]
    return json.dumps(schemas.schema(name, version))


def changed(name: str, **attributes: Any) -> Schema:
    """With other attributes; fields: by name."""
    schema = schemas.schema(name, 1)
    for row in schema["fields"]:
        row.update(attributes.pop(row["name"], {}))
    return parse(json.dumps(schema | attributes))


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "subject",
    ["house.payments.requests-value", "tallystick.{}", "house.payments.requests-tallystick.{}"],
)
def test_a_request_has_its_id_by_every_strategy(name: str, subject: str) -> None:
    """By topic, by record, by both: the id that our reader knows."""
    state = State(OURS)
    where, schema = subject.format(name), parse(text(name))
    (expected,) = [schema_id(cls) for cls in MESSAGES if cls.__name__ == name]
    decision = state.register(where, schema)
    assert (expected, ()) == (decision.answer, decision.records)
    assert expected == state.lookup(where, schema).id
    assert [] == state.problems(where, schema)
    assert where in [place.subject for place in state.places(expected)]


def test_everything_published_can_be_found() -> None:
    """By its id and by its record's name; every topic has a subject."""
    state = State(OURS)
    for cls in (*EVENTS, *MESSAGES):
        found = state.schema(schema_id(cls))
        assert cls.__name__ == found.type.short_name
        assert schema_id(cls) == state.version(found.type.name, None).id
    assert {f"house.{topic.name}-value" for topic in TOPICS} < set(state.subjects())
    types = [
        state.version("house.payments.requests-value", number).schema.type.short_name
        for number in state.versions("house.payments.requests-value")
    ]
    assert {*REQUESTS, "Tick"} == set(types)


def test_levels_say_what_a_release_keeps_to() -> None:
    """Events are read for ever in both directions, messages by newer readers; a topic's types are unrelated."""
    state = State(OURS)
    assert [Level.FULL_TRANSITIVE, Level.BACKWARD_TRANSITIVE, Level.NONE] == [
        state.level(subject)
        for subject in (
            "tallystick.log.PaymentRequested",
            "tallystick.PaymentRequest",
            "house.payments.requests-value",
        )
    ]


ALIKE: Final = {
    "as it is": {},
    "without documentation": {"doc": ""},
    "without our attributes": {"channel": {"type": "string"}},
    "with a default": {"simulated": {"default": False}},
}


@pytest.mark.parametrize("name", ALIKE)
def test_what_gives_the_same_bytes_is_ours(name: str) -> None:
    """Generators of other languages drop what they do not need."""
    schema = changed("PaymentRequest", **ALIKE[name])
    assert 72 == State(OURS).register("house.payments.requests-value", schema).answer


OTHER: Final = {
    "another field": {"fields": []},
    "another type": {"amount": {"type": "int"}},
    "another name": {"amount": {"name": "amounts"}},
    "another namespace": {"namespace": "shop"},
    "another unit": {"occurred_at": {"type": {"type": "long", "logicalType": "timestamp-millis"}}},
}


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("subject", ["house.payments.requests-value", "tallystick.PaymentRequest"])
def test_what_we_have_not_published_is_refused(name: str, subject: str) -> None:
    """With a sentence that says what is; checking says the same as registering."""
    state = State(OURS)
    schema = changed("PaymentRequest", **OTHER[name])
    with pytest.raises(
        RegistryRefused, match=r"takes what Tallystick has published \(tallystick\.PaymentReq"
    ) as caught:
        state.register(subject, schema)
    assert (409, Code.INCOMPATIBLE_SCHEMA) == (caught.value.status, caught.value.code)
    assert [str(caught.value)] == state.problems(subject, schema)
    with pytest.raises(RegistryRefused) as caught:
        state.lookup(subject, schema)
    assert Code.SCHEMA_NOT_FOUND == caught.value.code


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        ("house.payments.requests-key", "keys on Tallystick's topics are plain text"),
        ("house.tomorrow-value", "no schema is published for it"),
        ("tallystick.Tomorrow", "no schema is published for it"),
    ],
)
def test_our_names_are_kept_free(subject: str, why: str) -> None:
    """What a later release may need cannot be somebody's by then."""
    with pytest.raises(RegistryRefused, match=why):
        State(OURS).register(subject, parse('"string"'))


@pytest.mark.parametrize("subject", ["house.payments.requests-value", "tallystick.PaymentRequest", "house.x"])
def test_nobody_changes_ours(subject: str) -> None:
    """Neither deletes nor sets a level."""
    state = State(OURS)
    for call in (
        lambda: state.delete_subject(subject),
        lambda: state.delete_version(subject, 1),
        lambda: state.set_level(subject, Level.NONE),
        lambda: state.delete_level(subject),
    ):
        with pytest.raises(RegistryRefused) as caught:
            call()
        assert Code.NOT_PERMITTED == caught.value.code


def test_a_record_cannot_change_ours_either() -> None:
    """Somebody may write to the topic by hand; a release may take a name that was a stranger's. The id stays taken."""
    state = State(OURS)
    state.evolve(VersionWritten("tallystick.PaymentRequest", 1, FOREIGN_IDS + 4, '"string"'))
    assert schema_id(PaymentRequest) == state.version("tallystick.PaymentRequest", None).id
    assert FOREIGN_IDS + 5 == state.register("s", parse('"string"')).answer


def test_ours_under_a_strangers_subject_keeps_its_id() -> None:
    """One schema, one id, wherever it stands."""
    assert (
        schema_id(PaymentRequest)
        == State(OURS).register("shop.copies-value", parse(text("PaymentRequest"))).answer
    )


def test_a_new_version_of_ours_comes_behind_the_old() -> None:
    """Each strategy sees it; who says exactly one of them gets that one, who leaves out what tells them apart the
    newest."""
    old, new = parse(text("Tick")), changed("Tick", doc="Said better.")
    rows = [row for row in OURS.published if row.name != "Tick"]
    tick = next(row for row in OURS.published if row.name == "Tick")
    ours = Ours("house", [*rows, tick, Published(999, "Tick", 2, new, tick.level)])
    state = State(ours)
    for subject in ("tallystick.Tick", "house.payments.requests-value"):
        ids = [state.register(subject, one).answer for one in (old, new, changed("Tick", doc=""))]
        assert [tick.id, 999, 999] == ids
    assert [(1, tick.id), (2, 999)] == [
        (number, state.version("tallystick.Tick", number).id) for number in state.versions("tallystick.Tick")
    ]
