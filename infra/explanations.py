"""A verdict explained: for people, and as one JSON value."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from events.risk import ModelScore, Phase, RiskAssessed
from events.signals import NOT_KNOWN, Connection, IdentitySignals
from infra.output import console, instant, money, remark, table
from streams.features.rules.catalogue import FEATURES, PLACES
from streams.features.scoring import Assessment
from streams.forensics.explaining import Explained

_MOST_REASONS: Final = 6
_MOST_LINKED: Final = 12
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOG: Final = "payments"
_PHASES: Final = {
    Phase.BEFORE_AUTHORIZATION: "before any network was asked",
    Phase.AFTER_AUTHENTICATION: "behind the authentication",
    Phase.AFTER_AUTHORIZATION: "behind the issuer's answer",
}
_TITLES: Final = {
    Phase.BEFORE_AUTHORIZATION: "What was measured (0 and what is not known left out)",
    Phase.AFTER_AUTHENTICATION: "What the authentication added",
    Phase.AFTER_AUTHORIZATION: "What the answer added",
}


def print_explained(found: Explained) -> None:
    """Each verdict, the rules behind it, what was measured, what models said, and where it comes from."""
    _print_verdict(found)
    if found.after is not None:
        _print_verdict(found.after)
    if not (found.agrees and (found.after is None or found.after.agrees)):
        remark("Decided again from the log, it comes out otherwise.")


def _print_verdict(found: Explained) -> None:
    body = found.event.body
    assert isinstance(body, RiskAssessed)
    screen = console()
    click.echo(
        f"{body.payment_id} at {body.merchant}: {body.verdict}, score {body.score}, "
        f"decided {_PHASES[body.phase]} at {_LOG}/{found.partition} {found.offset:,} ({found.event.meta.event_id})."
    )
    rules = [(one.rule, one.how, one.action, one.points or "", one.when.strip()) for one in found.fired]
    if rules:
        screen.print(table("Rules", ("rule", "", "asks for", "points", "where"), rules))
    known = [(name, f"{value:,}", _meaning(name)) for name, value in found.features.items() if value > 0]
    known += [(name, text, _meaning(name)) for name, text in found.texts.items() if text]
    if known:
        screen.print(table(_TITLES[body.phase], ("feature", "", ""), known))
    if found.signals is not None:
        _print_signals(found.signals)
    for said, why in zip(body.models, found.models, strict=False):
        _print_model(said, why)
    rows = [
        (
            f"{_LOG}/{found.partition} {one.offset:,}",
            one.event_id,
            one.what,
            instant(_EPOCH + timedelta(microseconds=one.at)),
            one.merchant,
            money(one.amount, one.currency) if one.currency else "",
        )
        for one in found.origins
    ]
    if body.phase is Phase.BEFORE_AUTHORIZATION:
        screen.print(
            table("Where it comes from", ("position", "event", "", "made", "merchant", "amount"), rows)
        )
    if found.cluster and body.phase is Phase.BEFORE_AUTHORIZATION:
        listed = ", ".join(found.cluster[:_MOST_LINKED])
        more = f" and {len(found.cluster) - _MOST_LINKED:,} more" if len(found.cluster) > _MOST_LINKED else ""
        click.echo(f"Linked to {len(found.cluster):,} known frauds: {listed}{more}.")
    if found.agrees:
        click.echo("Decided again from the log: the same, bit for bit.")
        return
    for difference in found.differences:
        click.echo(f"{difference.field}: recorded {difference.recorded}, decided again {difference.again}")


def as_json_value(found: Explained) -> dict[str, Any]:
    """All of it, times in microseconds UTC."""
    body, meta = found.event.body, found.event.meta
    assert isinstance(body, RiskAssessed)
    return {
        "payment_id": body.payment_id,
        "merchant": body.merchant,
        "verdict": body.verdict,
        "score": body.score,
        "phase": body.phase,
        "position": {"topic": _LOG, "partition": found.partition, "offset": found.offset},
        "event_id": meta.event_id,
        "versions": {"rules": meta.versions.rules, "model": meta.versions.model},
        "feature_set": body.feature_set,
        "features": found.features,
        "texts": found.texts,
        "signals": None if found.signals is None else msgspec.to_builtins(found.signals),
        "rules": [one._asdict() for one in found.fired],
        "models": [
            {
                "model": said.model,
                "version": said.version,
                "mode": said.mode,
                "score": said.score,
                "margin": said.margin,
                "base": why.base,
                "contributions": [one._asdict() for one in why.contributions],
            }
            for said, why in zip(body.models, found.models, strict=False)
        ],
        "origins": [one._asdict() for one in found.origins],
        "cluster": found.cluster,
        "agrees": found.agrees,
        "differences": [one._asdict() for one in found.differences],
        "after": None if found.after is None else as_json_value(found.after),
    }


def _print_signals(said: IdentitySignals) -> None:
    """What a provider said of the buyer, in its own words: what is not known is left out."""
    place = ""
    if said.accuracy_km >= 0:
        place = f"{said.latitude / 100:.2f}, {said.longitude / 100:.2f} within {said.accuracy_km:,} km"
    disposable = {True: "yes", False: "no", None: ""}[said.email_disposable]
    rows = (
        ("the IP address is in", said.country),
        ("at", place),
        ("and belongs to", "" if said.connection is Connection.NOT_KNOWN else said.connection.value),
        ("risk of the address, of 100", _known(said.ip_risk)),
        ("days since the e-mail address was first seen", _known(said.email_age_days)),
        ("risk of the e-mail address", _known(said.email_risk)),
        ("it is thrown away after use", disposable),
        ("risk of the telephone number", _known(said.phone_risk)),
    )
    title = f"What the identity provider {said.provider!r} said: {said.answer.value.replace('_', ' ')}"
    known = [row for row in rows if row[1]]
    if known:
        console().print(table(title, ("", ""), known))
    else:
        click.echo(title)


def _known(value: int) -> str:
    return "" if value == NOT_KNOWN else f"{value:,}"


def _print_model(said: ModelScore, why: Assessment) -> None:
    title = f"Model {said.model} version {said.version} in {said.mode}: score {said.score}"
    rows = [(one.words, f"{one.margin / (1 << 20):+.3f}") for one in why.contributions[:_MOST_REASONS]]
    console().print(table(title, ("because", "log-odds"), rows, right=("log-odds",)))


def _meaning(name: str) -> str:
    place = PLACES.get(name)
    return FEATURES[place].meaning if place is not None else "what models see"
