"""Options that sub-commands share. A value comes from the flag or from the settings, and arrives resolved."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from infra.settings import SETTINGS, Settings, Value, path_of
from infra.stores import store_address

_Command = TypeVar("_Command", bound=Callable[..., Any])


def settings_of(context: click.Context) -> Settings:
    """The settings of this run, read on first use: ``--help`` works even where they are wrong."""
    root = context.find_root()
    if not isinstance(root.obj, Settings):
        root.obj = Settings.load(os.environ, Path.cwd())
    return root.obj


def _resolve(context: click.Context, name: str, flag: str | None) -> Value:
    return settings_of(context).value(name, flag)


#: How many partitions the topics of a house have when nobody says: two cores have work for so many.
ON_KAFKA: Final = 4


def partitions_of(value: Value, default: int) -> int:
    """The number of partitions that a setting means; the default depends on where the log is."""
    return default if value.origin == "default" else int(value.text)


def setting_option(
    name: str, convert: Callable[[Value], Any] = lambda value: value.text, *, metavar: str = "TEXT"
) -> Callable[[_Command], _Command]:
    """``--NAME``: a setting, converted; the default is whatever the settings say."""
    setting = SETTINGS[name]

    def resolve(context: click.Context, _: click.Parameter, flag: str | None) -> Any:
        return None if context.resilient_parsing else convert(_resolve(context, name, flag))

    return click.option(
        f"--{name}",
        metavar=metavar,
        callback=resolve,
        help=f"{setting.help[0].upper()}{setting.help[1:]}.  [default: {setting.default}]",
    )


#: ``--log sqlite:PATH``: the command gets a Path.
log_option: Final = setting_option("log", lambda value: path_of(value, "sqlite"), metavar="sqlite:PATH")
#: ``--log`` of either kind: the command gets a Value, for :func:`infra.logs.place_of`.
any_log_option: Final = setting_option("log", lambda value: value, metavar="ADDRESS")
kafka_config_option: Final = click.option(
    "--kafka-config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the settings for TLS and SASL, where the log is on Kafka.",
)
#: ``--store``: the command gets a StoreAddress.
store_option: Final = setting_option("store", store_address, metavar="ADDRESS")
payments_option: Final = setting_option("payments", lambda value: int(value.text), metavar="N")
seed_option: Final = setting_option("seed", lambda value: int(value.text), metavar="S")
#: ``--partitions`` of a file, which gains nothing from several, and of topics, which are shared by workers.
partitions_option: Final = setting_option("partitions", metavar="N", convert=lambda value: value)
kafka_partitions_option: Final = setting_option(
    "partitions", lambda value: partitions_of(value, ON_KAFKA), metavar="N"
)
#: Indexes that a worker keeps warm beside its own.
standby_option: Final = setting_option("standby", lambda value: int(value.text), metavar="N")
#: How much of a list is shown.
limit_option: Final = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many."
)
json_option: Final = click.option("--json", "as_json", is_flag=True, help="One JSON value on stdout.")
as_of_option: Final = click.option(
    "--as-of",
    metavar="TIME|POSITION",
    help="As it was then: 2026-03-09 (all of that day), 2026-03-09T14:30:00Z, or a position like payments/0@1200.",
)
