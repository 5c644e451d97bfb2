"""``tallystick kafka``: a broker on this machine, without a container.

The address goes to stdout, alone, and everything else to stderr: ``BOOTSTRAP=$(tallystick kafka start)``.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from infra.options import json_option
from infra.output import remark

OK, NOT_RUNNING = 0, 3

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/kafka"),
    show_default=True,
    help="Where the brokers keep everything.",
)


@click.group()
def kafka() -> None:
    """A Kafka broker on this machine: start, stop, status.

    Java 17 runs it and Maven fetches it, once. KAFKA_HOME can name an unpacked Kafka instead, and KAFKA_BOOTSTRAP a
    broker that runs: that one is only reported.
    """


@kafka.command()
@data_option
@click.option(
    "--brokers", type=click.Choice(("1", "3")), help="How many; fixed for a folder's life.  [default: 1]"
)
@click.option(
    "--jvm",
    type=click.Choice(("small", "fast")),
    default="small",
    show_default=True,
    help="small for development and tests, fast for measuring.",
)
@json_option
def start(data: Path, brokers: str | None, jvm: str, as_json: bool) -> int:
    """Start it, wait until it serves, print its address. It goes on running; doing it twice is harmless."""
    from infra.kafka.broker import Jvm
    from infra.kafka.broker import start as start_broker

    done = start_broker(data, os.environ, int(brokers) if brokers else None, Jvm(jvm), remark)
    if as_json:
        click.echo(msgspec.json.encode(done))
        return OK
    click.echo(done.bootstrap)
    if not done.ours:
        remark("KAFKA_BOOTSTRAP names this broker; nothing was started")
    elif done.started:
        remark(
            f"Kafka {done.kafka}, {_counted(done.started)} started in {done.seconds:.1f} s with data in {data}; "
            f"to end it: tallystick kafka stop{_data(data)}"
        )
    else:
        remark("already running")
    return OK


@kafka.command()
@data_option
@json_option
def stop(data: Path, as_json: bool) -> int:
    """End the brokers that start has started under this folder, and nothing else. The data stays."""
    from infra.kafka.broker import stop as stop_broker

    done = stop_broker(data, os.environ)
    if as_json:
        click.echo(msgspec.json.encode(done))
    elif not done.ours:
        remark(f"KAFKA_BOOTSTRAP names the broker at {done.bootstrap}; it is not ours to stop")
    elif not done.stopped:
        remark(f"no broker runs in {data}")
    else:
        remark(f"{_counted(done.stopped)} stopped")
    if done.killed:
        remark(
            f"{_counted(done.killed)} had to be killed: the next start takes a little longer, nothing is lost"
        )
    return OK


@kafka.command()
@data_option
@json_option
def status(data: Path, as_json: bool) -> int:
    """Print the address of a broker that serves. Exit code 3 where none does."""
    from infra.kafka.broker import status as status_of_broker

    found = status_of_broker(data, os.environ)
    if as_json:
        click.echo(msgspec.json.encode(found))
    elif found.ready:
        click.echo(found.bootstrap)
    running = [broker for broker in found.brokers if broker.running]
    for broker in running:
        remark(
            f"broker {broker.number}: pid {broker.pid}, {broker.resident_bytes / 2**20:.0f} MiB, log {broker.log}"
        )
    if len(running) < len(found.brokers) or not found.ready:
        remark(_advice(found.ours, len(running), len(found.brokers), found.bootstrap, data))
    return OK if found.ready else NOT_RUNNING


def _advice(ours: bool, running: int, brokers: int, bootstrap: str, data: Path) -> str:
    if not ours:
        return f"the broker at {bootstrap}, which KAFKA_BOOTSTRAP names, does not answer"
    if not running:
        return f"no broker runs in {data}: tallystick kafka start{_data(data)}"
    if running < brokers:
        return f"{running} of {brokers} brokers run; tallystick kafka start{_data(data)} starts the others"
    return f"the broker at {bootstrap} runs and does not answer"


def _counted(numbers: Sequence[int]) -> str:
    return "1 broker" if len(numbers) == 1 else f"{len(numbers)} brokers"


def _data(data: Path) -> str:
    return "" if data == Path("var/kafka") else f" --data {data}"
