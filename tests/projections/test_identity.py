"""What was said of who pays, as rows: on every store."""

from events.signals import Connection, IdentitySignals, ProviderAnswer
from tests.projections.stores import Stores, rows
from tests.projections.story import Story

GIVEN = IdentitySignals(
    "own", ProviderAnswer.GIVEN, "PT", 3872, -914, 20, Connection.PROXY, 10**15, 0, 3, False, 4
)
LATE = IdentitySignals("own", ProviderAnswer.LATE)


def test_what_was_said_of_who_pays(stores: Stores) -> None:
    """A row for each payment that came with signals, in the words and figures of the request."""
    story = Story()
    payments = [story.request(number, signals=said) for number, said in enumerate((GIVEN, None, LATE), 1)]
    with stores.filled(story) as store:
        assert rows(
            store,
            "SELECT payment_id, merchant, provider, answer, country, latitude, longitude, accuracy_km, connection,"
            " ip_risk, email_age_days, email_risk, email_disposable, phone_risk FROM payment_signals ORDER BY ip_risk",
        ) == [
            (payments[2], "shop-1", "own", "late", "", 0, 0, -1, "not_known", -1, -1, -1, "", -1),
            (payments[0], "shop-1", "own", "given", "PT", 3872, -914, 20, "proxy", 10**15, 0, 3, "no", 4),
        ]
        assert [("own", "given", 1), ("own", "late", 1)] == rows(
            store, "SELECT provider, answer, payments FROM identity_answers ORDER BY answer"
        )
