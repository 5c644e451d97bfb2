"""A Kafka cluster as a log's home: its address, how to talk to it, and what a record is in both vocabularies.

On Kafka a record's own stamp is the broker's (``LogAppendTime``), so what a log needs beside the bytes travels in
headers: ``at``, the stamp in the log's own time, and ``chain``, the chain value, on the topics of logs. A stranger
can write any header: ``at`` is believed where only we write, and everywhere in virtual time, whose producers are ours.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from events.errors import Refused, Unavailable
from streams.hosts.log import Stored
from streams.topology import LOGS

SCHEME: Final = "kafka://"
DEFAULT_PREFIX: Final = "tallystick"
AT: Final = "at"
CHAIN: Final = "chain"

_MILLISECOND: Final = 1_000

#: What a file of client settings may name: librdkafka's names, which most operators have a file of already.
_PROPERTIES: Final = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "cafile",
    "ssl.certificate.location": "certfile",
    "ssl.key.location": "keyfile",
    "ssl.key.password": "password",
}
_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_OF_SSL: Final = frozenset({"cafile", "certfile", "keyfile", "password"})


@dataclass(frozen=True)
class Cluster:
    """Where a house's topics are: ``kafka://HOST:PORT[,HOST:PORT]/PREFIX``."""

    bootstrap: str
    prefix: str = DEFAULT_PREFIX
    #: Keyword arguments of every client beside the address. May hold a password: never shown.
    security: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, address: str, config: Path | None = None) -> "Cluster":
        """The cluster at an address, with the settings for TLS and SASL of a file. Raises Refused, Unavailable."""
        bootstrap, _, prefix = address.removeprefix(SCHEME).partition("/")
        named = all(host and port.isdecimal() for host, port in map(_host_and_port, bootstrap.split(",")))
        if not address.startswith(SCHEME) or not named or "/" in prefix or "@" in address:
            raise Refused(
                "the address of a log on Kafka has the form kafka://HOST:PORT/PREFIX; users and passwords stand in a "
                "file for --kafka-config"
            )
        return cls(bootstrap, prefix or DEFAULT_PREFIX, {} if config is None else _security(config))

    @property
    def address(self) -> str:
        """What :meth:`parse` understands."""
        return f"{SCHEME}{self.bootstrap}/{self.prefix}"

    def topic(self, name: str) -> str:
        """What a topic is called on this cluster."""
        return f"{self.prefix}.{name}"

    def name_of(self, topic: str) -> str:
        """The other way."""
        return topic.removeprefix(f"{self.prefix}.")

    def options(self) -> dict[str, Any]:
        """What every client of this cluster is made with."""
        return {"bootstrap_servers": self.bootstrap.split(","), **self.security}


def _host_and_port(server: str) -> tuple[str, str]:
    host, _, port = server.rpartition(":")
    return host, port


def _security(path: Path) -> dict[str, Any]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"the client settings {path} cannot be read: {error}") from error
    given: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or name not in _PROPERTIES:
            known = ", ".join(_PROPERTIES)
            raise Refused(f"{path}, line {number}: not a setting known here; there are {known}")
        given[_PROPERTIES[name]] = value
    of_ssl = {name: given.pop(name) for name in _OF_SSL & given.keys()}
    _check(path, given)
    if "SSL" in given.get("security_protocol", ""):
        return {**given, "ssl_context": _ssl_context(path, of_ssl)}
    if of_ssl:
        raise Refused(f"{path}: ssl.* settings need security.protocol=SSL or SASL_SSL")
    return dict(given)


def _check(path: Path, given: Mapping[str, str]) -> None:
    """Raises Refused where the library would raise something else, or leave a password unused without a word."""
    protocol = given.get("security_protocol", "PLAINTEXT")
    if protocol not in _PROTOCOLS:
        raise Refused(f"{path}: security.protocol is one of {', '.join(_PROTOCOLS)}")
    of_sasl = sorted(name for name in given if name.startswith("sasl_"))
    if not protocol.startswith("SASL_"):
        if of_sasl:
            raise Refused(f"{path}: sasl.* settings need security.protocol=SASL_SSL or SASL_PLAINTEXT")
        return
    if given.get("sasl_mechanism") not in _MECHANISMS:
        raise Refused(f"{path}: sasl.mechanism is one of {', '.join(_MECHANISMS)}")
    if not given.get("sasl_plain_username") or not given.get("sasl_plain_password"):
        raise Refused(f"{path}: {protocol} needs sasl.username and sasl.password")


def _ssl_context(path: Path, given: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=given.get("cafile"))
        if "certfile" in given:
            context.load_cert_chain(given["certfile"], given.get("keyfile"), given.get("password"))
    except OSError as error:  # ssl.SSLError is one
        raise Refused(f"{path}: the certificates cannot be used: {error}") from error
    return context


#: From a broker's stamp to a log's own time, both microseconds UTC; None in virtual time.
BusinessTime = Callable[[int], int] | None


def stored(name: str, record: Any, business_time: BusinessTime) -> Stored:
    """A consumed record of topic ``name`` as a log keeps it."""
    at, chain = None, b""
    for header, value in record.headers:
        # A stranger's header may have no value.
        if header == AT and value is not None and len(value) == 8:
            at = int.from_bytes(value, "big", signed=True)
        elif header == CHAIN and value is not None:
            chain = value
    stamp = record.timestamp * _MILLISECOND
    if business_time is not None and name not in LOGS:
        at = business_time(stamp)
    elif at is None:
        at = stamp
    # A record without a value is a stranger's: nothing can be decoded from it, and it is put aside like that.
    return Stored(record.offset, at, record.value or b"", chain)


def headers(at: int, chain: bytes | None = None) -> list[tuple[str, bytes]]:
    """The headers of a record of ours."""
    stamp = (AT, at.to_bytes(8, "big", signed=True))
    return [stamp] if chain is None else [stamp, (CHAIN, chain)]
