"""``make bench``: the figures of one run on one machine, side by side, printed and kept in ``bench.json``.

Nothing here passes or fails. Machines differ and are noisy, so what carries over are the ratios of one run. Whole
processes are timed from outside, as a user meets them; parts are timed in this process on what the run left behind.
"""

import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from events.calendar import DAY, HOUR  # noqa: E402 - run as a script, the tree has to be found first
from events.envelope import Recorded  # noqa: E402
from events.partitions import ClockKind  # noqa: E402
from events.reference import Action, RuleBook, RuleList, WrittenRule  # noqa: E402
from events.risk import Phase  # noqa: E402
from events.wire import decode_event, encode_event  # noqa: E402
from projections.catalog import CATALOG  # noqa: E402
from projections.digest import one  # noqa: E402
from projections.duck import DuckStore  # noqa: E402
from projections.postgres import PostgresStore  # noqa: E402
from projections.projector import Projector  # noqa: E402
from projections.store import SqlStore  # noqa: E402
from streams.edge.bank import Bank  # noqa: E402
from streams.edge.clearinghouse import ClearingHouse  # noqa: E402
from streams.edge.inputs import read_rows  # noqa: E402
from streams.edge.networks import Adapter  # noqa: E402
from streams.edge.publisher import Publisher, schedule  # noqa: E402
from streams.edge.vault import open_keys  # noqa: E402
from streams.features.rules.catalogue import FEATURES, LANGUAGE, Value, usual_vector  # noqa: E402
from streams.features.rules.judging import Judge  # noqa: E402
from streams.features.rules.lists import list_sha256, packed  # noqa: E402
from streams.features.rules.packs import read_pack  # noqa: E402
from streams.features.velocity import forget, initial, observe, plan_of, stale_hours  # noqa: E402
from streams.hosts.actors import Actor, EdgeActor, IndexActor, PublisherActor  # noqa: E402
from streams.hosts.embedded import EmbeddedLog  # noqa: E402
from streams.hosts.house import TICKS_AHEAD, House  # noqa: E402
from streams.hosts.index import Run  # noqa: E402
from streams.hosts.memory import MemoryLog  # noqa: E402
from tests import postgres  # noqa: E402
from tests.bench import kafka, long, page  # noqa: E402
from tests.bench.figures import about, along, clock, command, resident, timed  # noqa: E402
from tests.bench.model import scoring  # noqa: E402
from tests.bench.sampling import sampled, shares  # noqa: E402
from tests.bench.takeover import takeover, takeover_on_kafka  # noqa: E402
from tests.bench.verdicts import verdicts  # noqa: E402

SMALL, LARGE = 10_000, 50_000
CODEC_EVENTS = 50_000
RULES, RULE_ROUNDS, LISTED = 100, 100_000, 1_000_000
RULE_WINDOWS = ("_10m", "_1h", "_24h")
RULE_FORMS = (
    "{first}",
    "{first} and amount > 3 * merchant.p95",
    "{first} and amount > {n}.00 EUR",
    "{first} and payment.time in 22:00..06:00",
    'card.country in ["NG", "VN", "KW"] and {first}',
    'merchant.mcc == "{n:04}" and amount > {n}.00 USD',
    "device.new and {first}",
    "card.country != ip.country and {first}",
    "card.id in @cards and amount > {n}.00 USD",
    "card.new and amount > {n}00.00 USD or {first}",
)
VELOCITY_CARDS, VELOCITY_PAYMENTS, VELOCITY_DAYS = 200_000, 300_000, 25


def job(folder: Path, payments: int) -> dict[str, Any]:
    """The main job as a process: what it says of itself, and the most memory that a process of it took."""
    folder.mkdir()
    log, store = f"--log=sqlite:{folder / 'log.db'}", f"--store=duckdb:{folder / 'store.duckdb'}"
    demo = command("demo", "--fresh", "--json", f"--payments={payments}", log, store)
    process = subprocess.Popen(demo, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    watched = along(process, folder / "log.db")
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the main job ended with exit code {process.returncode}")
    said: dict[str, Any] = json.loads(out)
    said["memory_along_mb"], said["log_along"] = watched
    said["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1)
    said["log_bytes"] = (folder / "log.db").stat().st_size
    said["store_bytes"] = (folder / "store.duckdb").stat().st_size
    return said


def replay(folder: Path) -> dict[str, Any]:
    """``replay --verify`` as a process."""
    verify = command("replay", "--verify", "--json", f"--log=sqlite:{folder / 'log.db'}")
    done = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def projections(folder: Path) -> dict[str, float]:
    """All projections from position 0 into a new store: on DuckDB, and on PostgreSQL where its programs are."""
    events, entries, rows, processor, wall = projection(folder, DuckStore(folder / "again.duckdb"))
    figures = {
        "projection_events_per_second": round(events / processor, 1),
        "projection_postings_per_second": round(entries / processor, 1),
        "projection_rows_per_second": round(rows / wall, 1),
    }
    if programs := postgres.programs():
        with postgres.running(programs) as server:
            address = server.address(server.database())
            *_, wall_of_server = projection(folder, PostgresStore(address, address))
        figures["postgres_rows_per_second"] = round(rows / wall_of_server, 1)
        figures["postgres_over_duckdb"] = round(wall / wall_of_server, 3)
    return figures


def projection(folder: Path, store: SqlStore) -> tuple[int, int, int, float, float]:
    """Fill a store: events, ledger entries, rows of all tables, seconds of this process, seconds on the wall."""
    log = EmbeddedLog(folder / "log.db", read_only=True)
    with closing(log), store:
        projector = Projector(log, store, 1)
        started = time.perf_counter()
        with clock() as took:
            events = projector.catch_up()
        wall = time.perf_counter() - started
        rows = {
            table.name: int(one(store, f"SELECT count(*) FROM {table.name}")[0])
            for projection in CATALOG
            for table in projection.TABLES
        }
        return events, rows["ledger_entries"], sum(rows.values()), took(), wall


def engine(folder: Path) -> tuple[int, float, dict[str, float]]:
    """The engines, publisher and simulated outside on a log in memory.

    Events, seconds of this process, and, of a second run, which part of the code takes which share of them.
    """
    house, index = _house(folder)
    with clock() as took:
        for _ in house.run():
            pass
    again, _ = _house(folder)
    with sampled() as found:
        for _ in again.run():
            pass
    return sum(index.index.log_ends.values()), took(), shares(found)


def _house(folder: Path) -> tuple[House, IndexActor]:
    path = next((folder / "input").glob("*.avro"))
    plan = schedule(read_rows(path))
    run = Run(1, ClockKind.VIRTUAL, plan.first_at, plan.last_tick, "{}")
    keys = open_keys(folder / "keys")
    log = MemoryLog()
    indexes = [IndexActor(log, 0, run, keys)]
    others: list[Actor] = [
        PublisherActor(
            log, Publisher(read_rows(path), plan, 1), keys, lambda: indexes[0].index.tick(), TICKS_AHEAD
        ),
        EdgeActor(log, Adapter(0, 1)),
        EdgeActor(log, ClearingHouse(1, 1)),
        EdgeActor(log, Bank(1, 1)),
    ]
    return House(indexes, others), indexes[0]


def codec(folder: Path) -> tuple[float, float]:
    """Microseconds to decode and to encode an event of the run, as they come."""
    log = EmbeddedLog(folder / "log.db", read_only=True)
    values = [stored.value for stored in log.read("payments", 0, 0, CODEC_EVENTS)]
    log.close()
    events: list[Recorded] = []
    with clock() as took:
        events.extend(decode_event(value) for value in values)
    decode = took() / len(values) * 1e6
    with clock() as took:
        for event in events:
            encode_event(event)
    return decode, took() / len(values) * 1e6


def velocity() -> tuple[float, float]:
    """Microseconds to measure a payment with all dimensions and default windows, and bytes that a card takes.

    Every card has a device and an e-mail of its own, four share an IP; each pays once, some twice. In a process of
    its own, for what this one has let go would hide what is taken.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_velocity).result()


def _velocity() -> tuple[float, float]:
    chance = random.Random(1)
    state = initial(plan_of())
    gc.set_threshold(100_000, 20, 100)  # as in the job
    before, size, at, hour = resident(os.getpid()), 0, 0, 0
    with clock() as took:
        for number in range(VELOCITY_PAYMENTS):
            if number == VELOCITY_CARDS:
                size = resident(os.getpid()) - before
            at = number * VELOCITY_DAYS * DAY // VELOCITY_PAYMENTS
            card = number if number < VELOCITY_CARDS else chance.randrange(VELOCITY_CARDS)
            observe(
                state,
                f"pay-{number}",
                at,
                f"card-{card}",
                f"ip-{card // 4}",
                f"device-{card}",
                f"{card}@mail.example",
                f"shop-{int(1_000 * chance.random() ** 2)}",
                chance.randrange(100, 100_000),
            )
            if at // HOUR != hour:
                hour = at // HOUR
                for stale in stale_hours(state, at):
                    forget(state, stale)
    return took() / VELOCITY_PAYMENTS * 1e6, size * 1024 / VELOCITY_CARDS


def rules() -> tuple[float, float, float, float]:
    """Of 100 rules: microseconds on a payment that none concerns, on one of which some are, to read and compile them;
    and bytes for each entry of a list of a million cards.

    Forty features, money, lists, times of day, ratios: no two rules are the same. The list in a process of its own.
    """
    chance = random.Random(1)
    counts = [one for one in FEATURES if isinstance(one.usual, int) and one.name.endswith(RULE_WINDOWS)]
    written = []
    for number in range(RULES):
        one = chance.choice(counts)
        assert isinstance(one.usual, int)
        unit = " minor" if one.name.partition(".")[2].startswith("sum") else ""
        first = f"{one.name} > {3 * one.usual + chance.randrange(2, 40)}{unit}"
        when = RULE_FORMS[number % len(RULE_FORMS)].format(first=first, n=number)
        written.append(WrittenRule(f"r-{number}", chance.choice(list(Action)), None, when, 1, False))
    named = RuleList("cards", "card", 2, list_sha256(["card-1", "card-2"]))
    book = RuleBook(LANGUAGE, 1, "", tuple(written), (), (named,))
    lists = {named.sha256: packed(["card-1", "card-2"])}
    Judge(read_pack(book), lists)
    with clock() as took:
        judge = Judge(read_pack(book), lists)
    compiling = took()
    quiet = usual_vector()
    loud: list[list[Value]] = []
    for _ in range(1_000):
        vector = usual_vector()
        for place, one in enumerate(FEATURES):
            if isinstance(one.usual, int) and not isinstance(one.usual, bool) and chance.random() < 0.1:
                vector[place] = 20 * one.usual + chance.randrange(20)
        loud.append(vector)
    before = Phase.BEFORE_AUTHORIZATION
    with clock() as took:
        for _ in range(RULE_ROUNDS):
            judge.judge(before, "shop", quiet)
    plain = took() / RULE_ROUNDS
    with clock() as took:
        for vector in loud * (RULE_ROUNDS // len(loud)):
            judge.judge(before, "shop", vector)
    busy = took() / RULE_ROUNDS
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return plain * 1e6, busy * 1e6, compiling * 1e6, pool.submit(_list_bytes).result()


def _list_bytes() -> float:
    chance = random.Random(1)
    entries = [f"card-{chance.randrange(2**60):015x}" for _ in range(LISTED)]
    before = resident(os.getpid())
    made = packed(entries)
    assert entries[0] in made
    return (resident(os.getpid()) - before) * 1024 / LISTED


def measure(folder: Path, console: Console) -> dict[str, Any]:
    """Everything, one after the other."""
    figures = about()
    with console.status(f"the main job with {SMALL:,} payments"):
        small = job(folder / "small", SMALL)
    with console.status(f"the main job with {LARGE:,} payments"):
        large = job(folder / "large", LARGE)
    with console.status("replay"):
        replayed = replay(folder / "large")
    with console.status("projections"):
        projected = projections(folder / "large")
    with console.status("engines in memory"):
        decided, deciding, parts = engine(folder / "small")
    with console.status("codec"):
        decode, encode = codec(folder / "small")
    with console.status("velocity"):
        measuring, card_bytes = velocity()
    with console.status("rules"):
        quiet, busy, compiling, entry_bytes = rules()
    with console.status("the fraud model"):
        model = scoring(timed)
    with console.status("verdicts"):
        model |= verdicts(timed)
    with console.status("an index restored, and taken over"):
        taken = takeover()
    measured_on_kafka = {}
    if reason := kafka.missing():
        console.print(f"Nothing is measured on Kafka: {reason}")
    else:
        with console.status("a house on Kafka, and its peers") as status:
            measured_on_kafka = kafka.on_kafka(folder / "on-kafka", status.update)
            status.update("a take-over on Kafka")
            taken |= takeover_on_kafka(folder / "taken-over")
    cost = {said["payments"]: said["seconds"] / said["payments"] for said in (small, large)}
    return figures | {
        "embedded_payments_per_second": large["payments_per_second"],
        "embedded_payments_per_second_small": small["payments_per_second"],
        "replay_events_per_second": replayed["events_per_second"],
        **projected,
        "engine_events_per_second": round(decided / deciding, 1),
        "engine_us_per_payment": round(deciding / SMALL * 1e6, 1),
        "engine_shares": parts,
        "decode_us": round(decode, 2),
        "encode_us": round(encode, 2),
        "velocity_us": round(measuring, 2),
        "velocity_events_per_second": round(1e6 / measuring, 1),
        "velocity_bytes_per_card": round(card_bytes, 1),
        "rules_us": round(quiet, 2),
        "rules_busy_us": round(busy, 2),
        "rules_read_us": round(compiling, 1),
        "rules_bytes_per_entry": round(entry_bytes, 1),
        **model,
        **taken,
        **measured_on_kafka,
        "cost_flatness": round(cost[LARGE] / cost[SMALL], 3),
        "memory_small_mb": small["peak_memory_mb"],
        "memory_growth": round(large["peak_memory_mb"] / small["peak_memory_mb"], 3),
        "memory_along_mb": large["memory_along_mb"],
        "log_along": large["log_along"],
        "log_bytes_per_payment": round(large["log_bytes"] / LARGE, 1),
        "store_bytes_per_payment": round(large["store_bytes"] / LARGE, 1),
        "events_per_payment": round(large["events"] / LARGE, 2),
        **long.figures(),
    }


_MEANINGS = {
    "embedded_payments_per_second": f"whole life of {LARGE:,} payments, embedded log and projections, wall clock",
    "embedded_payments_per_second_small": f"the same with {SMALL:,}",
    "replay_events_per_second": "replay --verify: decided again and compared byte for byte, wall clock",
    "projection_events_per_second": "all projections into DuckDB, decoding included, per core",
    "projection_postings_per_second": "ledger entries in that time, per core",
    "projection_rows_per_second": "rows of all tables into DuckDB, wall clock",
    "postgres_rows_per_second": "the same into PostgreSQL, wall clock: the server works on a core of its own",
    "postgres_over_duckdb": "the one over the other",
    "engine_events_per_second": "engines and simulated outside on the memory log, per core",
    "engine_us_per_payment": "the same: microseconds of a core for the whole life of a payment",
    "decode_us": "microseconds to decode an event",
    "encode_us": "microseconds to encode one",
    "velocity_us": "microseconds for all features of a payment: six dimensions, five windows, per core",
    "velocity_events_per_second": "the same as a rate",
    "velocity_bytes_per_card": "what a card that pays takes in velocity, its IP, device, e-mail and payment included",
    "rules_us": f"microseconds of {RULES} rules on a payment that none of them concerns",
    "rules_busy_us": "the same where one feature in ten is far from usual, and some of the rules fire",
    "rules_read_us": "microseconds to read, check and compile them",
    "rules_bytes_per_entry": f"what an entry takes in a list of {LISTED:,} cards",
    "model_profile_us": "microseconds for what a model sees of a payment, and for its label later, per core",
    "model_row_us": "microseconds for the margin of one payment: 100 trees, 12 features",
    "model_batch_us": "the same in a batch of 50,000",
    "model_reasons_us": "microseconds for score, margin and reasons in words",
    "model_label_us": "microseconds for a label that the scorecard learns online",
    "verdict_us": "microseconds for a verdict, from the request to the answer behind it: 100 rules, a champion of 100"
    " trees, a scorecard that learns, known frauds, everything that can be said of a payment, per core",
    "verdict_champion_us": "the same without the scorecard",
    "verdict_measuring_us": "of them for what is measured: velocity, history, profile, what is recorded of it",
    "verdict_model_us": "for the champion's score",
    "verdict_learner_us": "for the score of the scorecard that learns, and the bins of the payment",
    "verdict_rules_us": "for the rules",
    "takeover_open_payments": "payments that are authorized and wait for their capture, in the index that is had back",
    "restore_records_per_second": "records folded when it is restored from its logs, per core",
    "snapshot_seconds": "for its snapshot, as long as nothing else happens; it is written while the index goes on",
    "snapshot_restore_seconds": "to restore it from that",
    "takeover_fold_seconds": "from a standby that is 1,000 records of each log behind",
    "takeover_seconds": "between two workers, wall clock: from the fence to the first commit, with a standby",
    "kafka_authorizations_per_second": "request to committed answer, captures included, wall time, all at once",
    "kafka_worker_us_per_payment": "what the worker needs of a core for one of them",
    "kafka_offered_rate_at_half_load": "payments a second that are sent whatever comes back (open loop)",
    "kafka_p50_ms_at_half_load": "from the moment a request was to be sent until its answer can be read committed",
    "kafka_p99_ms_at_half_load": "the same, 99 of 100",
    "kafka_whole_life_payments_per_second": "the main job on Kafka in virtual time: whole life, all processes, start",
    "authorizations_per_second": "the path that the peers have, too: by hand captured, so without captures",
    "projected_per_second": "the same until all of it is projected, too: the projector gives way",
    "p99_ms_at_half_load": "the same at half of that, open loop",
    "ratio_faust": "that rate over the one of Faust, at least once",
    "ratio_quix": "over the one of Quix Streams, exactly once",
    "ratio_kafka_streams": "over the one of Kafka Streams, exactly_once_v2",
    "ratio_faust_path_alone": "the path alone, without projector, bank and clearing house, over Faust",
    "ratio_quix_path_alone": "the same over Quix Streams",
    "ratio_kafka_streams_path_alone": "the same over Kafka Streams",
    "ratio_floor": "with one worker, over what the same records cost with nothing decided, in one process",
    "floor_per_second": "payments a second of that floor",
    "floor_codec_us": "microseconds to decode and encode the records of one payment",
    "outcomes_that_differ": "payments that a peer, or a second run of ours, ended otherwise",
    "cost_flatness": f"cost of a payment among {LARGE:,} over one among {SMALL:,}",
    "memory_small_mb": f"largest process with {SMALL:,} payments, MiB",
    "memory_growth": f"largest process with {LARGE:,} over that",
    "memory_along_mb": f"all processes together, at ten moments of {LARGE:,} payments, MiB",
    "long_payments": "of the long runs that were kept last (tests.bench.long), which are runs of their own",
    "long_cost_flatness": "in them, on an average: processors for an event in the last tenth over the second",
    "long_memory_growth": "in them, on an average: the most memory of the second half over the most of the first",
    "log_bytes_per_payment": "size of the log",
    "store_bytes_per_payment": "size of the store",
    "events_per_payment": "events in the logs, ticks included",
}


def main() -> None:
    """Measure, print, keep."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="tallystick-bench-") as folder:
        figures = measure(Path(folder), console)
    table = Table(title=f"{figures['machine']}, Python {figures['python']}", box=None)
    table.add_column("figure")
    table.add_column("", justify="right")
    table.add_column("what it is", style="dim")
    for name, meaning in _MEANINGS.items():
        if name not in figures:
            continue  # This machine has no PostgreSQL, or no Kafka.
        value = figures[name]
        shown = " ".join(f"{one:.0f}" for one in value) if isinstance(value, list) else f"{value:,}"
        table.add_row(name, shown, meaning)
    console.print(table)
    page.KEPT.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print("Kept in bench.json.")
    console.print(page.publish(figures))


if __name__ == "__main__":
    main()
