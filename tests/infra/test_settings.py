"""Settings: a flag beats the environment, that beats the file, that beats the default; nothing is guessed."""

import re
from pathlib import Path

import pytest

from events.errors import Refused
from infra.settings import SETTINGS, Settings, Value, masked, path_of


@pytest.mark.parametrize(
    ("flag", "environment", "file", "expected"),
    [
        (None, {}, "", Value(SETTINGS["partitions"].default, "default")),
        (None, {}, "partitions = 8", Value("8", "tallystick.toml")),
        (None, {"TALLYSTICK_PARTITIONS": "9"}, "partitions = 8", Value("9", "TALLYSTICK_PARTITIONS")),
        ("10", {"TALLYSTICK_PARTITIONS": "9"}, "partitions = 8", Value("10", "--partitions")),
        ("10", {}, "", Value("10", "--partitions")),
    ],
)
def test_the_nearest_wins(
    tmp_path: Path, flag: str | None, environment: dict[str, str], file: str, expected: Value
) -> None:
    """Each value says where it is from."""
    if file:
        (tmp_path / "tallystick.toml").write_text(file)
    found = Settings.load(environment, tmp_path).value("partitions", flag)
    assert found._replace(origin=Path(found.origin).name) == expected


@pytest.mark.parametrize(
    ("environment", "file", "complaint"),
    [
        ({"TALLYSTICK_STOER": "x"}, "", "no setting for TALLYSTICK_STOER; there are TALLYSTICK_LOG"),
        ({}, 'stoer = "x"', "there is no setting 'stoer'"),
        ({}, "[log]\npath = 1", "log is a text or a whole number"),
        ({}, "seed = true", "seed is a text or a whole number"),
        ({}, "seed = 1.5", "seed is a text or a whole number"),
        ({}, "log = ", "is not TOML"),
        ({"TALLYSTICK_CONFIG": "elsewhere.toml"}, "", "no settings file at elsewhere.toml"),
    ],
)
def test_what_nobody_knows_is_refused(
    tmp_path: Path, environment: dict[str, str], file: str, complaint: str
) -> None:
    """A misspelt setting would be silence."""
    if file:
        (tmp_path / "tallystick.toml").write_text(file)
    with pytest.raises(Refused, match=complaint):
        Settings.load(environment, tmp_path)


def test_another_file_can_be_named(tmp_path: Path) -> None:
    """TALLYSTICK_CONFIG names it, and it is then the only one that is read."""
    (tmp_path / "tallystick.toml").write_text("seed = 1")
    (tmp_path / "other.toml").write_text("seed = 2")
    settings = Settings.load({"TALLYSTICK_CONFIG": str(tmp_path / "other.toml")}, tmp_path)
    assert settings.value("seed") == Value("2", str(tmp_path / "other.toml"))


def test_what_a_continuous_build_requires_is_no_setting(tmp_path: Path) -> None:
    """The tests start commands, which would refuse a variable that they do not know."""
    build = (Path(__file__).parents[2] / ".ci" / "run").read_text("utf-8")
    required = dict.fromkeys(re.findall(r"TALLYSTICK_\w+", build), "1")
    assert len(required) > 3
    Settings.load(required, tmp_path)


def test_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    """Only our own prefix is looked at."""
    assert Settings.load({"HOME": "/", "TALLY": "x"}, tmp_path).value("seed").origin == "default"


@pytest.mark.parametrize("text", ["many", "-1", "1.5", ""])
def test_numbers_are_numbers(tmp_path: Path, text: str) -> None:
    """The one who said it is named."""
    with pytest.raises(Refused, match="TALLYSTICK_SEED: seed is a number"):
        Settings.load({"TALLYSTICK_SEED": text}, tmp_path).value("seed")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://teller:hunter2@db/books", "postgresql://teller:****@db/books"),
        (
            "kafka://host:9092/tally?sasl_password=hunter2&x=1",
            "kafka://host:9092/tally?sasl_password=****&x=1",
        ),
        ("postgresql://teller:hun@ter2@db/books", "postgresql://teller:****@db/books"),
        ("postgresql://db/books?TOKEN=hunter2", "postgresql://db/books?TOKEN=****"),
        ("duckdb:var/tallystick.duckdb", "duckdb:var/tallystick.duckdb"),
    ],
)
def test_secrets_are_covered(text: str, shown: str) -> None:
    """What `config show` prints may be pasted into a ticket."""
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text", ["postgresql://u:hunter2@h/x", "duckdb", "duckdb:", "var/x", "duckdb://h/x", "sqlite:x"]
)
def test_a_place_is_scheme_and_path(text: str) -> None:
    """Anything else is refused, and no password is repeated."""
    with pytest.raises(Refused, match=r"--store: .* is not of the form duckdb:PATH") as refused:
        path_of(Value(text, "--store"), "duckdb")
    assert "hunter2" not in str(refused.value)


def test_the_path_of_a_place() -> None:
    """Relative paths stay relative, colons in them are theirs."""
    assert path_of(Value("duckdb:a/b:c.duckdb", "default"), "duckdb") == Path("a/b:c.duckdb")


def test_every_setting_has_a_default_that_it_accepts(tmp_path: Path) -> None:
    """So that nothing needs to be set to begin."""
    for name in SETTINGS:
        assert Settings.load({}, tmp_path).value(name).text
