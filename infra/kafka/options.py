"""Options of the processes that share a log on Kafka."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from events.errors import Refused
from infra.options import setting_option

if TYPE_CHECKING:
    from streams.hosts.cluster import Cluster

_Command = TypeVar("_Command", bound=Callable[..., Any])

_VERBOSE: Final = "infra.kafka.options.verbose"

#: ``--log kafka://HOST:PORT/PREFIX``: the command gets the text, for :func:`cluster_of`.
log_option: Final = setting_option("log", metavar="kafka://HOST:PORT/PREFIX")
config_option: Final = click.option(
    "--kafka-config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the settings for TLS and SASL.",
)
keys_option: Final = click.option(
    "--keys",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/keys"),
    show_default=True,
    help="The folder of the deployment's keys.",
)


def cluster_options(command: _Command) -> _Command:
    """``--log`` and ``--kafka-config``."""
    return log_option(config_option(command))


def cluster_of(log: str, config: Path | None) -> "Cluster":
    """The cluster that the options name. Raises Refused for a log that is elsewhere."""
    from infra.kafka.client import aiokafka

    aiokafka()
    from streams.hosts.cluster import SCHEME, Cluster

    if not log.startswith(SCHEME):
        raise Refused("this is for a log on Kafka: give --log kafka://HOST:PORT/PREFIX")
    return Cluster.parse(log, config)


def diagnostics_options(command: _Command) -> _Command:
    """``-v`` and ``--diagnostics``: what the process says of itself on standard error, from its start on."""
    verbose = click.option(
        "-v",
        "--verbose",
        count=True,
        is_eager=True,
        expose_value=False,
        callback=lambda context, _, count: context.meta.update({_VERBOSE: count}),
        help="Say what happens; twice, what the libraries do.",
    )
    style = click.option(
        "--diagnostics",
        type=click.Choice(("text", "json")),
        default="text",
        show_default=True,
        expose_value=False,
        callback=_begin,
        help="Lines on stderr for people or for machines.",
    )
    return verbose(style(command))


def _begin(context: click.Context, _: click.Parameter, style: str) -> None:
    if not context.resilient_parsing:
        from infra.diagnostics import begin

        begin(context.meta.get(_VERBOSE, 0), style)
