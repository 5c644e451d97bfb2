"""Addresses of logs on Kafka and files of client settings: what is taken, and what is refused at once."""

import ssl
from pathlib import Path

import pytest

from events.errors import Refused, Unavailable
from streams.hosts.cluster import Cluster

ADDRESS = "kafka://127.0.0.1:9092/house"
SASL = [
    "security.protocol=SASL_PLAINTEXT",
    "sasl.mechanism=PLAIN",
    "sasl.username=us",
    "sasl.password=geheim",
]


def settings(folder: Path, *lines: str) -> Path:
    """A file with these lines."""
    path = folder / "client.properties"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("address", "bootstrap", "prefix"),
    [
        ("kafka://broker:9092", "broker:9092", "tallystick"),
        ("kafka://broker:9092/", "broker:9092", "tallystick"),
        ("kafka://a:1,b:2/house", "a:1,b:2", "house"),
        ("kafka://[::1]:9092/house", "[::1]:9092", "house"),
    ],
)
def test_an_address_names_servers_and_a_prefix(address: str, bootstrap: str, prefix: str) -> None:
    cluster = Cluster.parse(address)
    assert (bootstrap, prefix) == (cluster.bootstrap, cluster.prefix)
    assert Cluster.parse(cluster.address) == cluster


@pytest.mark.parametrize(
    "address",
    [
        "broker:9092",
        "kafka://broker",
        "kafka://:9092",
        "kafka://a:1,/p",
        "kafka://a:1/p/q",
        "kafka://u:p@a:1/p",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="kafka://HOST:PORT/PREFIX"):
        Cluster.parse(address)


def test_client_settings_reach_every_client_and_no_text(tmp_path: Path) -> None:
    cluster = Cluster.parse(ADDRESS, settings(tmp_path, "# comment", "", *SASL))
    assert cluster.options() == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "us",
        "sasl_plain_password": "geheim",
    }
    assert "geheim" not in f"{cluster!r} {cluster} {cluster.address}"


def test_tls_verifies_the_broker(tmp_path: Path) -> None:
    context = Cluster.parse(ADDRESS, settings(tmp_path, "security.protocol=SSL")).options()["ssl_context"]
    assert (ssl.CERT_REQUIRED, True) == (context.verify_mode, context.check_hostname)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["sasl.passwort=geheim"], "line 1: not a setting known here"),
        (["sasl.password"], "line 1: not a setting known here"),
        (["security.protocol=TLS"], "security.protocol is one of"),
        (["ssl.ca.location=ca.pem"], "ssl.* settings need security.protocol"),
        (SASL[1:], "sasl.* settings need security.protocol"),
        (["security.protocol=SSL", *SASL[1:]], "sasl.* settings need security.protocol"),
        ([*SASL[:1], *SASL[2:]], "sasl.mechanism is one of"),
        ([*SASL[:1], "sasl.mechanism=GSSAPI", *SASL[2:]], "sasl.mechanism is one of"),
        (SASL[:3], "needs sasl.username and sasl.password"),
        ([*SASL[:3], "sasl.password="], "needs sasl.username and sasl.password"),
        (["security.protocol=SSL", "ssl.ca.location=nowhere.pem"], "the certificates cannot be used"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, lines: list[str], sentence: str) -> None:
    """With the file's name, and without what stands in it."""
    path = settings(tmp_path, *lines)
    with pytest.raises(Refused) as refused:
        Cluster.parse(ADDRESS, path)
    assert sentence in str(refused.value)
    assert str(path) in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        Cluster.parse(ADDRESS, tmp_path / "nowhere")
