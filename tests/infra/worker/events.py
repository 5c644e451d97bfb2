"""Events of authorizations at the network alpha; payments are called p1, p2 and so on."""

from events.authorization import (
    AuthorizationSubmitted,
    DeclineReason,
    PaymentAuthorized,
    PaymentDeclined,
    RetryAdvice,
)


def submitted(number: int, network: str = "alpha") -> AuthorizationSubmitted:
    """The first attempt of a payment."""
    return AuthorizationSubmitted(
        f"p{number}", "m1", network, "MID1", 1, "0100", "000001", "000000000001", "card", "411111", 1_000, "EUR",
        "5411", 20_000,
    )  # fmt: skip


def approved(number: int, network: str = "alpha") -> PaymentAuthorized:
    """What it comes to."""
    return PaymentAuthorized(
        f"p{number}", "m1", network, 1, 1_000, 1_000, "EUR", "00", "A1", "Y", "M", "T1", 1_900_000_000_000_000
    )


def declined(reason: DeclineReason, network: str = "alpha") -> PaymentDeclined:
    """The other thing."""
    return PaymentDeclined("p1", "m1", 1_000, "EUR", network, "51", reason, RetryAdvice.LATER)
