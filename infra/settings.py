"""Settings: read once, each with where its value is from.

A flag beats the environment (``TALLYSTICK_LOG``), that beats ``tallystick.toml`` in the working folder, and that
beats the default. A name that nobody knows is refused wherever it stands, for a misspelt setting is silence.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from events.errors import Refused

PREFIX: Final = "TALLYSTICK_"
FILE: Final = "tallystick.toml"
CONFIG_VARIABLE: Final = "TALLYSTICK_CONFIG"
"""Names another settings file."""
MASKED: Final = "****"


class Setting(NamedTuple):
    """A setting: its name, what it is when nobody says, and what it is for."""

    name: str
    default: str
    help: str
    number: bool = False


SETTINGS: Final = {
    setting.name: setting
    for setting in (
        Setting(
            "log", "sqlite:var/tallystick.db", "where the log is: sqlite:PATH or kafka://HOST:PORT/PREFIX"
        ),
        Setting(
            "store",
            "duckdb:var/tallystick.duckdb",
            "where the projections are: duckdb:PATH or postgresql://USER@HOST:PORT/DATABASE",
        ),
        Setting("payments", "10000", "how many payments a simulated day has", number=True),
        Setting("seed", "1", "what all simulated chance is made of", number=True),
        Setting("partitions", "1", "partitions of each log, 4 on Kafka; fixed for a log's life", number=True),
        Setting("standby", "0", "how many indexes of others a worker on Kafka keeps warm", number=True),
        Setting("format", "table", "how query answers: table, csv, json or parquet"),
    )
}

#: Variables that are no settings: the one above, and some that are for the tests alone.
_OTHER_VARIABLES: Final = frozenset(
    {CONFIG_VARIABLE, f"{PREFIX}CRASH_AT"}
    | {f"{PREFIX}REQUIRE_{what}" for what in ("COMPILER", "KAFKA", "PEERS", "POSTGRES")}
)
#: Up to the last @: a password with one in it should have written %40, and is covered all the same.
_PASSWORD: Final = re.compile(r"(?<=://)([^:/@\s]*):(\S*)@")
_SECRET: Final = re.compile(r"(password|secret|token|key)=[^&\s]*", re.IGNORECASE)


class Value(NamedTuple):
    """What a setting is, and who says so."""

    text: str
    origin: str


class Settings:
    """The settings of one run."""

    def __init__(self, environment: Mapping[str, str], file: Mapping[str, Value]) -> None:
        self._environment = environment
        self._file = file

    @classmethod
    def load(cls, environment: Mapping[str, str], folder: Path) -> "Settings":
        """Read the environment and the file. Raises Refused for what nobody knows or can read."""
        for variable in sorted(environment):
            name = variable.removeprefix(PREFIX)
            if name != variable and variable not in _OTHER_VARIABLES and name.lower() not in SETTINGS:
                raise Refused(f"there is no setting for {variable}; there are {_variables()}")
        named = environment.get(CONFIG_VARIABLE)
        path = Path(named) if named else folder / FILE
        if not path.exists():
            if named:
                raise Refused(f"there is no settings file at {path}, which {CONFIG_VARIABLE} names")
            return cls(environment, {})
        return cls(environment, _read(path))

    def value(self, name: str, flag: str | None = None) -> Value:
        """What a setting is, given what its flag says (None: nothing)."""
        setting = SETTINGS[name]
        if flag is not None:
            found = Value(flag, f"--{name}")
        elif (variable := PREFIX + name.upper()) in self._environment:
            found = Value(self._environment[variable], variable)
        elif name in self._file:
            found = self._file[name]
        else:
            found = Value(setting.default, "default")
        if setting.number and not found.text.isdecimal():
            raise Refused(f"{found.origin}: {name} is a number, not {found.text!r}")
        return found


def masked(text: str) -> str:
    """A value fit to be seen: passwords in addresses and ``password=`` parts are covered."""
    return _SECRET.sub(lambda found: f"{found[1]}={MASKED}", _PASSWORD.sub(rf"\1:{MASKED}@", text))


def path_of(value: Value, scheme: str, other: str = "") -> Path:
    """The path in ``scheme:PATH``; Refused for anything else. ``other`` is what else the setting may be."""
    kind, colon, rest = value.text.partition(":")
    if not colon or kind != scheme or not rest or rest.startswith("//"):
        raise Refused(
            f"{value.origin}: {masked(value.text)!r} is not of the form {scheme}:PATH{f' or {other}' if other else ''}"
        )
    return Path(rest)


def _read(path: Path) -> dict[str, Value]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path} is not TOML: {error}") from error
    found: dict[str, Value] = {}
    for name, value in content.items():
        if name not in SETTINGS:
            raise Refused(f"{path}: there is no setting {name!r}; there are {', '.join(SETTINGS)}")
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise Refused(f"{path}: {name} is a text or a whole number, not {value!r}")
        found[name] = Value(str(value), str(path))
    return found


def _variables() -> str:
    return ", ".join(PREFIX + name.upper() for name in SETTINGS)
