"""Every event has a line that says what it means, made of fields that it has."""

import msgspec
import pytest

from events.base import Event
from events.catalog import EVENTS
from infra.output import money
from projections.phrases import PHRASES, fields_of, phrase


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_has_a_phrase_of_its_own_fields(kind: type[Event]) -> None:
    """A field that was renamed would leave a hole in the sentence."""
    assert fields_of(kind.__name__) <= set(kind.__struct_fields__)


def test_no_phrase_is_left_over() -> None:
    """An event that is no more takes its phrase along."""
    assert {kind.__name__ for kind in EVENTS} == PHRASES.keys()


def test_amounts_are_written_in_their_currency() -> None:
    """Minor units become what people write, and other numbers stay as they are."""
    body = msgspec.json.decode(
        b'{"type":"PaymentAuthorized","approved_amount":199900,"currency":"JPY","network":"visa","auth_code":"A1"}'
    )
    assert phrase("PaymentAuthorized", body, money) == "199,900 JPY approved by visa, code A1"
