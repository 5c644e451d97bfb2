"""`tallystick limits`: what is wrong with a file, what it changes, what it would have done, and into force."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from events.hotlist import VelocityLimitReached
from events.lifecycle import PaymentRequested
from events.reference import VelocityLimits, decode_reference
from events.requests import ReferencePublished
from events.risk import RiskAssessed, Verdict
from infra.commandline import run
from streams.edge.inputs import read_rows
from streams.edge.limitfiles import differences, read_limits
from streams.forensics.digests import events_of
from streams.hosts.embedded import EmbeddedLog
from tests.infra.runs import ROOT, Done, complaint

Tallystick = Callable[..., Done]

PAYMENTS = 250
LIMITS = """
version = 7
limits = [
    { limit_id = "shop-sum", dimension = "merchant", measure = "sum", window = "24h", above = 40000, standing = "review", hold_minutes = 90 },
    { limit_id = "shop-declines", dimension = "merchant", measure = "declines", window = "7d", above = 1, standing = "block", hold_minutes = 200 },
    { limit_id = "device-count", dimension = "device", measure = "count", window = "30d", above = 1, standing = "review", hold_minutes = 60 },
]
"""  # noqa: E501 - a limit stands on a line


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with limits, and with the log of a day on which they were in force from its first payment on."""
    folder = tmp_path_factory.mktemp("limited")
    (folder / "limits.toml").write_text(LIMITS)
    plain, limited = str(folder / "plain.avro"), str(folder / "limited.avro")
    assert 0 == run(["simulate", "--payments", str(PAYMENTS), "--out", plain])
    file = str(folder / "limits.toml")
    assert 0 == run(["limits", "publish", file, "--into", plain, "--out", limited, "--json"])
    log, store = f"sqlite:{folder / 'log.db'}", f"duckdb:{folder / 'store.duckdb'}"
    assert 0 == run(
        ["demo", "--input", limited, "--log", log, "--store", store, "--partitions", "2", "--json"]
    )
    return folder


@pytest.fixture
def call(
    day: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Tallystick:
    """Call ``tallystick limits`` in a folder that has the file of limits."""
    (tmp_path / "limits.toml").write_text(LIMITS)
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> Done:
        return Done(run(["limits", *arguments]), *capsys.readouterr())

    return called


def test_a_sound_file_is_told_limit_by_limit(call: Tallystick) -> None:
    """In sentences, and as one object."""
    shown = call("check", "limits.toml")
    assert 0 == shown.code
    assert "more than 40,000 minor units under each merchant in 24h: review for 90 minutes" in shown.out
    assert "more than 1 declines under each merchant in 7d: block for 200 minutes" in shown.out
    told = json.loads(call("check", "limits.toml", "--json").out)
    assert (True, 7, 3) == (told["sound"], told["version"], len(told["limits"]))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('measure = "sum"', 'measure = "sums"', "is none of count, cards, sum, declines; did you mean sum?"),
        ('window = "7d"', 'window = "8d"', "window '8d' is none of 10m, 1h, 24h, 7d, 30d"),
        ('dimension = "device"', 'dimension = "telephone"', "is none of card, ip, device, email, merchant"),
        ('"device", measure = "count"', '"email", measure = "cards"', "ip, device, merchant, and not under email"),
        ("above = 40000", "above = 0", "above 0: Expected `int` >= 1"),
        ("above = 40000", 'above = "400.00 EUR"', "above '400.00 EUR': Expected `int`, got `str`"),
        ("above = 40000, ", "", "limit shop-sum: above is missing"),
        ("above = 40000", "over = 40000", "limit shop-sum: there is no field over"),
        ("hold_minutes = 90", "hold_minutes = 90, vale = 1", "there is no field vale; did you mean value?"),
        ('"shop-sum"', '"Shop Sum"', "limit Shop Sum: limit_id 'Shop Sum': Expected `str` matching regex"),
        ('"shop-sum"', '"shop-declines"', "limit shop-declines: it stands here 2 times"),
        ("version = 7", "version = 7\nlimit = 1", "there is no limit: a file has a version and limits"),
        ("version = 7", "", "Object missing required field `version`"),
        ("version = 7", "version = ", "is not TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(call: Tallystick, tmp_path: Path, old: str, new: str, fault: str) -> None:
    """With the limit and what it may be; and nothing of it is published."""
    assert old in LIMITS
    (tmp_path / "limits.toml").write_text(LIMITS.replace(old, new))
    said = call("check", "limits.toml")
    assert 2 == said.code
    assert fault in said.err
    refused = call("publish", "limits.toml", "--next-version", "9", "--out", "out.avro")
    assert 2 == refused.code
    assert not (tmp_path / "out.avro").exists()


def test_all_that_is_wrong_is_said_at_once(call: Tallystick, tmp_path: Path) -> None:
    """As one object, too."""
    (tmp_path / "limits.toml").write_text(LIMITS.replace("review", "revue").replace("7d", "week"))
    told = json.loads(call("check", "limits.toml", "--json").out)
    assert (False, 3) == (told["sound"], len(told["faults"]))
    assert "(and 2 more)" in complaint(call("diff", "limits.toml", "limits.toml"))
    assert "no such file" in complaint(call("check", "nowhere.toml")).lower()


def test_what_a_new_file_changes(call: Tallystick, tmp_path: Path) -> None:
    """Limits that come and go, and fields; not the order."""
    lines = LIMITS.splitlines()
    (tmp_path / "same.toml").write_text("\n".join([*lines[:3], lines[5], lines[4], lines[3], "]"]))
    assert "They say the same." in call("diff", "limits.toml", "same.toml").out
    other = LIMITS.replace('"shop-sum"', '"shop-sums"')
    other = other.replace('above = 1, standing = "block"', 'above = 20, standing = "block"')
    (tmp_path / "next.toml").write_text(other)
    told = json.loads(call("diff", "limits.toml", "next.toml", "--json").out)["differences"]
    assert [
        ("shop-declines", "changed", "above"),
        ("shop-sum", "removed", ""),
        ("shop-sums", "added", ""),
    ] == [(one["limit"], one["change"], one["field"]) for one in told]
    assert ("1", "20") == (told[0]["old"], told[0]["new"])
    assert "shop-sums" in call("diff", "limits.toml", "next.toml").out
    assert [] == differences(read_limits(tmp_path / "limits.toml"), read_limits(tmp_path / "same.toml"))


def test_limits_become_reference_data(call: Tallystick, tmp_path: Path) -> None:
    """One entry, which takes the place of all limits that were in force."""
    told = json.loads(
        call("publish", "limits.toml", "--next-version", "9", "--out", "out.avro", "--json").out
    )
    assert 1 == told["entries"]
    [entry] = [row.entry for row in read_rows(tmp_path / "out.avro")]
    assert isinstance(entry, ReferencePublished)
    assert ("velocity", "standard", 9) == (entry.kind, entry.ref_id, entry.version)
    content = decode_reference(entry.kind, entry.content)
    assert isinstance(content, VelocityLimits)
    assert content == read_limits(tmp_path / "limits.toml")


def test_the_house_s_own_file_is_sound(call: Tallystick) -> None:
    """The limits to start with."""
    assert 0 == call("check", str(ROOT / "infra" / "reference" / "velocity.toml")).code


# --- back-tests -----------------------------------------------------------------------------------------


def test_a_back_test_says_what_the_stream_has_done(call: Tallystick, day: Path) -> None:
    """Tried on the log in which they were in force, limits are passed as often, and list the payments they did."""
    with closing(EmbeddedLog(day / "log.db", read_only=True)) as log:
        bodies = [recorded.body for recorded in events_of(log, 2)]
    passed = Counter(body.limit_id for body in bodies if isinstance(body, VelocityLimitReached))
    listed = Counter(
        rule.rpartition(":")[2]
        for body in bodies
        if isinstance(body, RiskAssessed)
        for rule in body.rules
        if rule.startswith("hotlist:")
    )
    blocked = sum(
        any(rule.endswith(":shop-declines") for rule in body.rules)
        for body in bodies
        if isinstance(body, RiskAssessed) and body.verdict is Verdict.BLOCK
    )
    told = json.loads(call("back-test", "limits.toml", "--log", f"sqlite:{day / 'log.db'}", "--json").out)
    assert {"shop-sum", "shop-declines", "device-count"} == set(passed)
    assert passed == {one["limit"]: one["crossings"] for one in told["limits"]}
    assert passed == {one["limit"]: one["recorded"] for one in told["limits"]}
    assert sum(isinstance(body, PaymentRequested) for body in bodies) == told["payments"]
    assert 0 < blocked == told["blocked"]
    # A verdict names the strictest of those that list a key, a back-test all of them.
    assert all(listed[one["limit"]] <= one["payments"] for one in told["limits"])
    shown = call("back-test", "limits.toml", "--log", f"sqlite:{day / 'log.db'}").out
    assert f"{told['blocked']:,} would have been blocked" in shown


def test_a_back_test_writes_nothing(call: Tallystick, day: Path, tmp_path: Path) -> None:
    """Other limits list others, and the log is what it was."""
    (tmp_path / "limits.toml").write_text(LIMITS.replace("above = 1,", "above = 1000000,"))
    before = (day / "log.db").read_bytes()
    told = json.loads(call("back-test", "limits.toml", "--log", f"sqlite:{day / 'log.db'}", "--json").out)
    crossings = {one["limit"]: one["crossings"] for one in told["limits"]}
    assert crossings["shop-sum"] > 0 == crossings["shop-declines"] == crossings["device-count"]
    assert 0 == told["blocked"]
    assert before == (day / "log.db").read_bytes()
