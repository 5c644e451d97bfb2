"""``docs/rules.md``: the language of fraud rules, a session with it, and the catalogue of features."""

from typing import Final

from events.reference import Action
from events.risk import Phase
from infra.docs.markdown import WRITTEN, page, table
from infra.docs.reason_page import meanings
from streams.features.rules.catalogue import FEATURES, WINDOWS, Feature
from streams.features.rules.cost import MOST_PACK_STEPS, MOST_STEPS
from streams.features.rules.lists import MOST_ENTRIES
from streams.features.rules.packs import MOST_RULES
from streams.features.rules.types import DOMAINS, Base

_ABOUT: Final = """\
A rule is a sentence about a payment: `card.count_10m > 5 and amount > 3 * merchant.p95`. A pack of rules is a TOML file
that is checked, tested on cases of its own, tried on the payments of a log, and then published as reference data. The
blocks of this page are run by the tests.

Rules are asked where a payment is decided, in the partition that has all payments of its card. So the stream knows what
was counted under the card and under the card at the merchant. What is counted under an address, a device, an e-mail
address or a merchant is shared out over the partitions and not known there yet: a comparison with it is false in the
stream, and a back-test, which reads all partitions, measures it. `tallystick rules check` names such features; what
must bind in the stream under such a key is a [limit](hotlist.md#what-a-limit-can-be-on). Of what is known to be fraud
(`frauds_W`) every partition is told, so that is known under every key; it counts from when it became known, in the
windows of its payment ([how](fraud-model.md#labels-in-the-stream))."""

_SESSION: Final = """\
## A session

```console
$ cat > stolen.txt <<END
> # tokens of cards, an entry a line
> card-of-nobody
> END
$ cat > pack.toml <<'END'
> version = 1
> [thresholds]
> burst = 5
> large = "500.00 USD"
> [lists.stolen]
> of = "card"
> file = "stolen.txt"
> [[rule]]
> id = "burst"
> action = "block"
> when = "card.cuont_10m > $burst or card.id in @stolen"
> [[rule]]
> id = "large"
> action = "request_3ds"
> when = "card.new and amount > $large"
> [[rule]]
> id = "wrong-code"
> action = "review"
> when = 'payment.cvv == "no_match"'
> [[case]]
> name = "six in ten minutes"
> given = { "card.count_10m" = 6 }
> fires = ["burst"]
> action = "block"
> [[case]]
> name = "a threshold in dollars speaks of dollars"
> given = { "card.new" = true, amount = "900.00 EUR" }
> fires = []
> END
$ tallystick rules check pack.toml
pack.toml:11:9: rule burst: there is no feature card.cuont_10m
  card.cuont_10m > $burst or card.id in @stolen
  ^^^^^^^^^^^^^^
  did you mean card.count_10m?
tallystick: pack.toml:11:9: rule burst: there is no feature card.cuont_10m
[exit 2]
$ sed -i 's/cuont/count/' pack.toml
$ tallystick rules check pack.toml
pack.toml: version 1, 3 rules (0 in shadow), 2 thresholds, 1 lists; ...
  before authorization: up to ... steps
  after authorization: up to ... steps
$ tallystick rules test pack.toml
pack.toml: 2 of 2 cases as they should be.
No case makes fire: large, wrong-code
```

A back-test measures every payment of a log again, as the stream would have, and says what would have fired, on what,
and what that would have cost. `--log` takes `sqlite:` and `kafka://`, `--from` and `--to` a stretch of it, `--labels`
a CSV file of what is known to be fraud, `--out` a CSV file for every payment on which a rule fires.

```console
$ tallystick demo --payments 300 --json > day.json
$ tallystick rules back-test pack.toml --out fired.csv
rule ...
burst ...
large ...
wrong-code  review ...
...
300 payments judged: ... would have been stopped ... Good payments declined: ...
...
$ head -1 fired.csv
payment_id,at,merchant,amount,currency,decided,authorized,would,rules,shadow,fraud
$ sed 's/burst = 5/burst = 3/' pack.toml > next.toml
$ tallystick rules diff pack.toml next.toml
...
threshold  burst  changed         5    3
$ tallystick simulate --payments 50 --out plain.avro
...
$ tallystick rules publish next.toml --into plain.avro --out ruled.avro
ruled.avro: 2 entries of reference data in ... rows; book ...
Next: tallystick demo --fresh --input ruled.avro
```"""

_LANGUAGE: Final = f"""\
## The language

{{words}}

- **What is not known makes a comparison false**, `!=` and `not in` too; `is known` and `is unknown` ask. A feature that
  is yes or no and not known is no.
- **Money speaks of its own currency.** `amount > 50.00 EUR` is false of a payment in dollars. `5000 minor` are minor
  units of whatever currency the payment has.
- **Numbers are whole.** A quotient is rounded down, towards minus infinity. A rule that divides by zero on a payment
  does not fire there, and is counted as failed; where the divisor is always zero, the rule is refused.
- `and` and `or` are asked from left to right: `x > 0 and y / x > 5` never fails.
- A range has both its ends in it. A range of times of day has its end outside and may go round midnight:
  `payment.time in 22:00..06:00`.
- A card's first digits are on a list if all eight are, or the first six.
- A rule takes at most {MOST_STEPS} steps (a comparison is one, an operation one, a look-up in a list five), all rules
  of a phase {MOST_PACK_STEPS:,}; a pack has at most {MOST_RULES} rules, a list {MOST_ENTRIES:,} entries."""

_WORDS: Final = (
    ("`and` `or` `not` `( )`", "`not card.new and (device.new or email.new)`"),
    ("`==` `!=` `<` `<=` `>` `>=`", "`card.count_24h >= 5`; texts have `==` and `!=`"),
    ("`in` `not in`, lists", '`card.country in ["US", "CA"]`, `card.bin not in @trusted_bins`'),
    ("`in` `not in`, ranges", "`amount in 10.00 EUR..50.00 EUR`, `payment.time in 22:00..06:00`"),
    ("`is known` `is unknown`", "`authentication.result is unknown`"),
    ("`+` `-` `*` `/`", "`2 * amount > 5 * merchant.p95`, `card.sum_24h / card.count_24h > 80.00 EUR`"),
    ("`min` `max` `abs`", "`max(ip.cards_1h, device.cards_1h) > 4`"),
    ("numbers, money", "`1_000`, `50.00 EUR`, `5000 minor`"),
    ("durations, times of day", "`30s` `10m` `24h` `7d`, `22:00`"),
    ("texts, truth", '`"US"`, `true` `false`'),
    ("`$name`", "a threshold of the pack"),
    ("`@name`", "a list of the pack"),
    ("`#`", "a comment, to the end of the line"),
)

_ORDER: Final = """\
## What is done

Of the rules that fire, the first kind in this order decides. A rule in `shadow` is told and decides nothing. A rule is
asked in the first phase in which everything that it reads is known, or in the later one that it names.

- A published book comes into force at the tick that names its version, in every partition at the same one. A book that
  cannot be used there (a list that has not come, a merchant's threshold of another type) is refused by an event,
  `ReferenceRefused`, and what was in force stays.
- Nobody can have a cardholder authenticate yet. A payment on which `request_3ds` decides gets the verdict `step_up`
  and goes on as one to be reviewed does; where a `block` fires too, it is blocked, or the request would let through
  what it was meant to keep out. The phase after authentication is not asked before there is one.
- **Behind an authorization** there is a second verdict, where any rule in force is asked then. It comes before anything
  is captured: `block` takes the authorization back (`PaymentVoided`, and a reversal to the network), `review` and
  `step_up` hold the capture until a person has [looked](review.md), where a queue is in force. A payment that the
  issuer has declined, or of which nothing was heard in time, is over: nothing more is asked of it. `tallystick risk
  explain` decides both verdicts again.
- A merchant's limits of amount and of payments a day with one card bind whatever the rules say; they are told as
  `merchant_max_amount` and `merchant_card_count_24h`.
- The verdict's event has the values of all features, the rules that fired, those in shadow and those that failed;
  `score` are the points of the rules that fired, 0 to 100.
- The rules to start with are `infra/reference/rules.toml`. A pack of the first kind (a feature above a threshold) in an
  older input is asked in this language, and its strongest verdict wins; a sum there was per currency, and is of all
  currencies here."""

_MERCHANTS: Final = """\
## A merchant's own

A file that names a `merchant` stands on top of the house's pack (`--house FILE`): its thresholds replace the house's
of the same name, its entries are added to the house's lists, and its rules are asked beside the house's, of its own
payments alone. A merchant's rules cannot `allow`: what the house blocks, no merchant lets through.
Examples: [a house's](../examples/rules/house.toml), [a merchant's](../examples/rules/harbour-coffee.toml)."""

_FIGURES: Final = """\
## Cost

All rules of a phase are one generated function: 100 rules take about 1 microsecond on a payment that none of them
concerns (`make bench`). A list of a million cards takes 26 MB, an answer from it half a microsecond; on the wire it is
some four hundred entries of reference data, which every log keeps."""


def text() -> str:
    """The page."""
    actions, phases = meanings(Action), meanings(Phase)
    return page(
        WRITTEN,
        "# Fraud rules",
        _ABOUT,
        _SESSION,
        _LANGUAGE.format(words=table(("", "for example"), _WORDS)),
        _ORDER,
        table(("action", ""), ((f"`{one.value}`", actions[one.name]) for one in Action)),
        table(("phase", ""), ((f"`{one.value}`", phases[one.name]) for one in Phase)),
        _MERCHANTS,
        "## What a rule can ask about",
        f"Windows are {', '.join(f'`{name}`' for name in WINDOWS)}, end with the payment's own event time and "
        "include the payment;\n`_W` below stands for any of them. What may be unknown has a question mark.",
        table(("feature", "type", "who says it", "known", "meaning"), _rows()),
        "## Words of the texts",
        table(("text", "words"), ((f"`{name}`", _vocabulary(name)) for name in DOMAINS)),
        _FIGURES,
    )


def _rows() -> list[tuple[str, ...]]:
    """A row for each feature, and one for all windows of it."""
    found: dict[str, tuple[str, ...]] = {}
    for feature in FEATURES:
        name, meaning = feature.name, feature.meaning
        window = name.rpartition("_")[2]
        if window in WINDOWS and f"in {window}" in meaning and "." in name:
            name, meaning = (
                name.removesuffix(window) + "W",
                meaning.replace(f" in {window}", " in the window"),
            )
        found.setdefault(name, _row(name, meaning, feature))
    return list(found.values())


def _row(name: str, meaning: str, feature: Feature) -> tuple[str, ...]:
    unit = f" ({feature.unit})" if feature.unit and feature.type.base is not Base.MONEY else ""
    known = feature.phase.value.replace("_", " ")
    return (
        f"`{name}`{' ?' if feature.optional else ''}",
        f"{feature.type}{unit}",
        feature.source.value,
        known,
        meaning,
    )


def _vocabulary(name: str) -> str:
    domain = DOMAINS[name]
    if len(domain.words) > 20:
        return {"country": "ISO 3166-1, two letters", "currency": "ISO 4217, three letters"}[name]
    return ", ".join(f"`{word}`" for word in domain.words) or domain.like
