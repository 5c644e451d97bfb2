"""A broker behind TLS that asks for a password, and the files of its clients."""

import datetime
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infra.kafka.broker import start
from infra.kafka.processes import free_ports

USER: Final = "house"
PASSWORD: Final = "correct-horse-battery"
WRONG: Final = "wrong-horse-battery"


@dataclass(frozen=True)
class Secured:
    """Where the broker listens with TLS, without, and how to get in."""

    bootstrap: str
    plain: str
    config: Path


def authority(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself for 127.0.0.1, as clients want it, and with its key, as Kafka wants it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir()
    (folder / "ca.pem").write_bytes(certificate)
    (folder / "broker.pem").write_bytes(private + certificate)
    return folder / "ca.pem", folder / "broker.pem"


def client_settings(path: Path, authority: Path, password: str) -> Path:
    """A file for ``--kafka-config``."""
    path.write_text(
        "# Ours alone.\n"
        "security.protocol=SASL_SSL\n"
        f"ssl.ca.location={authority}\n"
        "sasl.mechanisms=PLAIN\n"
        f"sasl.username={USER}\n"
        f"sasl.password={password}\n"
    )
    return path


def start_secured(folder: Path, environment: Mapping[str, str]) -> Secured:
    """A broker of its own in ``folder/kafka``; whoever starts it stops it."""
    trusted, keys = authority(folder / "authority")
    (port,) = free_ports(1, ())
    listener = f"SECURE://127.0.0.1:{port}"
    ours = "listener.name.secure."
    plain = start(
        folder / "kafka",
        environment,
        extra=lambda _: {
            "listeners": listener,
            "advertised.listeners": listener,
            "listener.security.protocol.map": "SECURE:SASL_SSL",
            f"{ours}ssl.keystore.type": "PEM",
            f"{ours}ssl.keystore.location": str(keys),
            f"{ours}sasl.enabled.mechanisms": "PLAIN",
            f"{ours}plain.sasl.jaas.config": (
                f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            ),
        },
    ).bootstrap
    config = client_settings(folder / "client.properties", trusted, PASSWORD)
    return Secured(f"127.0.0.1:{port}", plain, config)
