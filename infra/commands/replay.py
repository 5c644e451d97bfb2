"""``tallystick replay``: decide everything again from the recorded inputs and compare byte for byte."""

from pathlib import Path

import click
import msgspec

from infra.options import any_log_option, json_option, kafka_config_option
from infra.settings import Value


@click.command()
@any_log_option
@kafka_config_option
@click.option("--verify", is_flag=True, required=True, help="Compare; the only thing a replay does so far.")
@json_option
def replay(log: Value, kafka_config: Path | None, verify: bool, as_json: bool) -> int:
    """Take every recorded input again, compare every decision, hand-over, chain value and position.

    Prints the first difference with its position, field and both values, and ends with exit code 1.
    """
    import time

    from events.errors import Broken, ReplayDiffers
    from infra.job import Stage
    from infra.logs import looking_at, place_of
    from infra.progress import progress_bar
    from infra.tuning import collect_rarely
    from streams.forensics.digests import state_digest
    from streams.forensics.replay import verify as verify_log
    from streams.forensics.writeahead import check_write_ahead

    place = place_of(log, kafka_config)
    started = time.monotonic()
    collect_rarely()
    try:
        if isinstance(place, Path):
            # Before it is opened: SQLite leaves out what stands behind a damaged frame, and may find no log at all.
            check_write_ahead(place)
        with (
            looking_at(place) as opened,
            progress_bar(quiet=as_json) as watch,
        ):
            found = verify_log(opened, lambda stage, done: watch(Stage(stage, done, 0)))
    except Broken as error:
        if as_json:
            difference = {"verified": False, "error": str(error)}
            if isinstance(error, ReplayDiffers):
                difference |= {
                    "place": error.place,
                    "field": error.field,
                    "recorded": error.recorded,
                    "decided": error.decided,
                }
            click.echo(msgspec.json.encode(difference))
        raise
    seconds = time.monotonic() - started
    if as_json:
        result = {
            "verified": True,
            "partitions": found.partitions,
            "records": found.records,
            "events": found.events,
            "handovers": found.handovers,
            "seconds": round(seconds, 3),
            "replay_seconds": round(found.replay_seconds, 3),
            "events_per_second": round(found.events / found.replay_seconds, 1),
            "state_digest": state_digest(found.summaries),
        }
        click.echo(msgspec.json.encode(result))
    else:
        partitions = "1 partition" if found.partitions == 1 else f"{found.partitions} partitions"
        click.echo(
            f"{found.events:,} events of {partitions} decided again, byte for byte the same;\n"
            f"{found.records:,} records chained, {found.handovers:,} hand-overs in their inboxes "
            f"({seconds:.1f} s, {found.events / found.replay_seconds:,.0f} events/s replayed)."
        )
    return 0
