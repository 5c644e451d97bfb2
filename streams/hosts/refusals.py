"""Why no connection to a broker came about, in words that say what to do.

The library tries one server after the other, tells its log what each has said, and raises that it was "unable to
bootstrap": a wrong password, an unknown certificate and a closed port are one and the same to whoever catches that.
So what servers have said is kept here, beside the library.
"""

import ssl
from typing import Any, Final

from aiokafka import client
from aiokafka.errors import (
    AuthenticationFailedError,
    CoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

_connect: Final = client.create_conn
_look_up: Final = client.AIOKafkaClient.coordinator_lookup
#: What the last server said that gave us no connection.
_last: BaseException | None = None


async def _connecting(*arguments: Any, **options: Any) -> Any:
    global _last
    try:
        return await _connect(*arguments, **options)
    except (KafkaError, TimeoutError, OSError) as error:
        _last = error
        raise


async def _looking_up(self: Any, kind: Any, key: Any) -> Any:
    # A broker that has just come back names nobody, itself neither, and the library takes that for a mistake of its
    # caller's. In these words, it asks again.
    if self.get_random_node() is None:
        raise CoordinatorNotAvailableError
    return await _look_up(self, kind, key)


def remember() -> None:
    """Let every client of this process keep why it got no connection, and ask again where nobody is named."""
    client.create_conn = _connecting
    client.AIOKafkaClient.coordinator_lookup = _looking_up


def reason(error: BaseException) -> str:
    """What went wrong, in words."""
    cause = error
    if isinstance(error, KafkaConnectionError) and "bootstrap" in str(error) and _last is not None:
        cause = _last
    match cause:
        case TimeoutError():
            return "it takes too long"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not to be trusted ({cause.verify_message}): see ssl.ca.location"
        case SaslAuthenticationFailed() | AuthenticationFailedError():
            return "it does not accept this user and password: see sasl.username and sasl.password"
        case UnsupportedSaslMechanismError():
            return "it does not know this way of logging in: see sasl.mechanism"
        case ssl.SSLError():
            return f"it does not speak TLS as we do: {cause.reason or cause}"
        case ConnectionRefusedError():
            return "nobody listens there"
        case KafkaConnectionError() if "closed" in str(cause):
            return "it hangs up (where it wants TLS: see security.protocol)"
        case _:
            return str(cause) or type(cause).__name__
