"""``docs/places.md``: every place at which money can be, and how to ask for it."""

from typing import Final

from infra.docs.markdown import WRITTEN, page, table
from projections.places import CAPTURE, MERCHANT, REQUEST, Standing

_ABOUT: Final = """\
Every cent that was asked for is at exactly one place, now and at every moment of the past. `tallystick demo` says so at
its end, and `tallystick ledger places` shows all of it, a merchant's or a payment's: both end with exit code 1 where a
cent is at no place, or at two.

```console
$ tallystick demo --payments 300 > /dev/null
$ tallystick ledger places --merchant harbour-coffee --as-of 2026-03-02
What was asked for, USD ...
place ... of ... amount ... meaning
...
merchant ... USD ...
total ... USD
...
Of that captured, by what networks have paid, USD ...
...
Of that the merchants', USD ...
...
as of the end of 2026-03-02; ...
$ tallystick query --format csv "SELECT count(*) AS out_of_place FROM money_unplaced"
out_of_place
0
```

In SQL: `money_places` has a row for each request and place, `capture_places` for each payment and place,
`merchant_places` for each merchant and place, `places` the tables below. Amounts are minor units."""

_REQUEST: Final = """\
## What was asked for

By request: its own amount, increments that its network was to be asked for, and what captures took above the hold
(`money_asked`). A repetition asks for nothing new. Below zero is `merchant` alone: of a payment that was given back the
fees stay, and the merchant pays them from what other payments brought."""

_CAPTURE: Final = """\
## What was captured, by what networks have paid

By payment: what was captured and not undone. This is a second look at the same money: what is the merchant's may be
with the network still, for payouts do not wait for networks. Networks pay whole cycles, less refunds, disputes and
interchange: the view `cycles` holds those against the bank."""

_MERCHANT: Final = """\
## What is the merchants'

By merchant and currency: the sum of `merchant` over all of its requests. From here on money is pooled, for a payout
carries a balance; which one carried a capture says `merchant_entries`."""

_CHECK: Final = """\
## Why the sum proves something

No place is what the others leave over. Of two places between which a posting moves money, one is read off the ledger
and the other off what was decided (the last column): a capture leaves `on_hold` by its posting and comes to `merchant`
by its decision. A posting or a decision that is lost, or comes twice, leaves a difference in `money_unplaced`, with the
name of the request, the payment or the merchant. The tests lose and double one of each kind.

The sum does not see what moves nothing on the books: a request whose answer never came to a decision stays `open`."""


def text() -> str:
    """The page."""
    return page(
        WRITTEN,
        "# Places",
        _ABOUT,
        _REQUEST,
        _table(REQUEST),
        _CAPTURE,
        _table(CAPTURE),
        _MERCHANT,
        _table(MERCHANT),
        _CHECK,
    )


def _table(places: tuple[Standing, ...]) -> str:
    rows = [(f"`{one.place}`", one.meaning, one.record) for one in places]
    return table(("place", "its money", "read off"), rows)
