"""Who pays in a foreign file: known by surrogates and signals, and in clear nowhere."""

from pathlib import Path

import pytest

from events.errors import Refused
from events.signals import IdentitySignals, ProviderAnswer
from tests.edge.test_importer import GOOD, HEADER, PLAIN, Import


@pytest.fixture
def into(tmp_path: Path) -> Import:
    """A folder to import into."""
    return Import(tmp_path)


BUYERS = PLAIN.replace(
    "[merchants]",
    """
[buyer]
ip = "address"
email = "mail"
phone = "telephone"
device = "device"

[identity]
recordings = "recordings.json"

[merchants]""",
)
KNOWN = """{"about": "made up", "name": "recorded", "ip": {
    "198.51.100.7": {"country": "PT", "latitude": 38.72, "longitude": -9.14, "accuracy_km": 20},
    "198.51.100.8": {"risk": 90}}, "late": ["192.0.2.9"]}"""


def test_who_pays_is_introduced_where_cards_become_tokens(into: Import) -> None:
    """Surrogates and signals stand in the request, and what the file said of the buyer in nothing that is written."""
    (into.folder / "recordings.json").write_text(KNOWN)
    secrets = ("198.51.100.7", "Ana@Example.com", "+1 555 0100", "laptop-9")
    lines = [
        HEADER + ",address,mail,telephone,device",
        ",".join((GOOD, *secrets)),
        ",".join((GOOD.replace("n-1", "n-2"), " 198.51.100.7", "ana@example.com ", "", "")),
        ",".join((GOOD.replace("n-1", "n-3"), "192.0.2.9", "", "", "")),
        ",".join((GOOD.replace("n-1", "n-4"), "", "", "", "till-1")),
        ",".join((GOOD.replace("n-1", "n-5"), "", "", "", "")),
    ]
    into.run("source.csv", "\n".join(lines) + "\n", BUYERS)
    first, same, late, till, nobody = into.payments()
    assert ["dev", "ip", "mail", "tel"] == sorted(
        ref.partition("-")[0] for ref in (first.ip_ref, first.email_ref, first.phone_ref, first.device_ref)
    )
    assert (first.ip_ref, first.email_ref) == (same.ip_ref, same.email_ref)
    assert ("", "") == (same.phone_ref, same.device_ref)
    given = IdentitySignals("recorded", ProviderAnswer.GIVEN, "PT", 3872, -914, 20)
    assert [given, given] == [first.signals, same.signals]
    assert IdentitySignals("recorded", ProviderAnswer.LATE) == late.signals
    assert (None, None) == (till.signals, nobody.signals)
    assert till.device_ref.startswith("dev-")
    assert ("", "", "", "") == (nobody.ip_ref, nobody.email_ref, nobody.phone_ref, nobody.device_ref)
    written = into.out.read_bytes().lower()
    assert not [secret for secret in secrets if secret.lower().encode() in written]


def test_surrogates_are_the_deployments_own(into: Import, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nobody who has the values and not the key can tell who is who."""
    (into.folder / "recordings.json").write_text(KNOWN)
    other = Import(tmp_path_factory.mktemp("other"))
    (other.folder / "recordings.json").write_text(KNOWN)
    refs = set()
    for one in (into, other):
        line = f"{GOOD},198.51.100.7,,,"
        one.run("source.csv", f"{HEADER},address,mail,telephone,device\n{line}\n", BUYERS)
        refs.add(one.payments()[0].ip_ref)
    assert 2 == len(refs)


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        (BUYERS.replace('"address"', '"nowhere"'), "do not fit"),
        (BUYERS.replace("[identity]", "[identity]\nwait_ms = 0"), "wait_ms is from 1 to 10,000"),
        (BUYERS.replace('recordings = "recordings.json"', ""), "missing required field `recordings`"),
        ('folder = "/"\n' + PLAIN, "unknown field `folder`"),
    ],
)
def test_a_mapping_of_buyers_that_makes_no_sense_is_refused(into: Import, mapping: str, says: str) -> None:
    """As any other."""
    (into.folder / "recordings.json").write_text(KNOWN)
    with pytest.raises(Refused, match=says):
        into.csv(GOOD, mapping=mapping)
