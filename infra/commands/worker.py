"""``tallystick worker``: decides what comes in, on Kafka."""

import os
from pathlib import Path

import click

from events.errors import Refused
from infra.kafka.options import cluster_of, cluster_options, diagnostics_options, keys_option
from infra.options import kafka_partitions_option, standby_option


@click.command()
@cluster_options
@kafka_partitions_option
@keys_option
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/worker"),
    show_default=True,
    help="The folder of this worker's snapshots; no two workers share one.",
)
@click.option(
    "--clock",
    type=click.Choice(("wall", "virtual")),
    default="wall",
    show_default=True,
    help="The time that the log lives in.",
)
@click.option(
    "--run",
    "run_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What the log is opened for, in virtual time.",
)
@click.option(
    "--speed", type=click.IntRange(1), default=1, help="How many times as fast as the wall's clock."
)
@click.option("--origin", type=click.IntRange(0), help="Where that begins, microseconds UTC.")
@click.option("--batch", type=click.IntRange(1), default=500, show_default=True, help="Records a turn.")
@click.option(
    "--session-ms",
    type=click.IntRange(1_000, 300_000),
    default=10_000,
    show_default=True,
    metavar="MS",
    help="A worker that is silent for so long loses its indexes to others.",
)
@standby_option
@click.option(
    "--web-port",
    type=click.IntRange(0, 65_535),
    default=0,
    show_default=True,
    help="Port of the views on 127.0.0.1; 0 takes a free one. The address goes to stdout.",
)
@click.option(
    "--alerts",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with thresholds for the alerts on ops.alerts.",
)
@click.option("--livecheck", is_flag=True, help="Send a probe through ops.samples now and then.")
@click.option("--confirm-clock", is_flag=True, help="Go on after the wall clock was set: it is right.")
@diagnostics_options
def worker(
    log: str,
    config: Path | None,
    partitions: int,
    keys: Path,
    state: Path,
    clock: str,
    run_file: Path | None,
    speed: int,
    origin: int | None,
    batch: int,
    session_ms: int,
    standby: int,
    web_port: int,
    alerts: Path | None,
    livecheck: bool,
    confirm_clock: bool,
) -> int:
    """Decide what comes in, together with the other workers of the house, until SIGTERM or Ctrl-C.

    The indexes are divided among all workers of the same log. Exit code 1: something that must hold does not; 3: the
    broker cannot be had or somebody else has taken over: start it again, it restores.
    """
    cluster = cluster_of(log, config)
    from infra.crashing import reach_of
    from infra.kafka.topics import check, refuse
    from infra.registry.topic import TopicStorage
    from infra.registry.web import routes
    from infra.tuning import collect_rarely
    from infra.worker import alerts as alerting
    from infra.worker import runs
    from infra.worker.clock import ClockGuard
    from infra.worker.host import Serving, serve
    from infra.worker.port import Committed, Engine
    from streams.edge.vault import open_keys
    from streams.hosts.clocks import WallClock
    from streams.hosts.cluster import Cluster
    from streams.hosts.registry.service import Registry
    from streams.hosts.worker import Worker

    collect_rarely()
    if clock == "virtual":
        if run_file is None or speed != 1 or origin is not None:
            raise Refused("virtual time needs --run FILE, and neither --speed nor --origin")
        wall, guard, run = None, None, runs.load(run_file, partitions)
    else:
        if run_file is not None:
            raise Refused("--run is for virtual time: give --clock virtual")
        if speed != 1 and origin is None:
            raise Refused(
                "--speed needs --origin: all workers, and every restart, have to count from the same moment"
            )
        wall, guard = WallClock(origin or 0, speed), ClockGuard(state)
        guard.admit(confirmed=confirm_clock)
        run = runs.wall_run(partitions, wall)
    refuse(check(cluster.bootstrap, cluster.prefix, partitions, cluster.security))
    opened, reach = open_keys(keys), reach_of(os.environ)

    def make_engine(named: Cluster, committed: Committed) -> Engine:
        return Worker(
            named,
            run,
            opened,
            state,
            clock=wall,
            batch=batch,
            session_ms=session_ms,
            reach=reach,
            on_committed=committed,
            standbys=standby,
        )

    registry = Registry(cluster.prefix, TopicStorage(cluster))
    serving = Serving(
        cluster,
        make_engine,
        partitions,
        state,
        guard=guard,
        web_port=web_port,
        livecheck=livecheck,
        thresholds=alerting.load(alerts),
        beside=[registry],
        extra_routes=routes(registry),
    )
    return serve(serving, click.echo)
