"""Every metric of a worker: its name, what it means, and the alert that hangs on it with what to do then.

The metrics are made from this table, and so are ``docs/metrics.md`` and the rules for Prometheus. No label holds
what there may be any number of: no merchant, card or payment. ``index`` and ``topic`` are as many as the house has,
``network`` is bounded by :data:`NETWORKS`.
"""

from enum import StrEnum
from typing import Final, NamedTuple

#: More networks than this share the label ``other``.
NETWORKS: Final = 16
#: Upper bounds of the histograms of answers, in seconds.
LATENCY_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Kind(StrEnum):
    """What Prometheus calls them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Alert(NamedTuple):
    """A rule: when ``expression`` has held for ``lasting``, ``action`` is what somebody has to do."""

    name: str
    expression: str
    lasting: str
    severity: str
    meaning: str
    action: str


class Metric(NamedTuple):
    """A metric. ``read`` ones are read off the engine when Prometheus asks, the others are told per batch."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    unit: str
    meaning: str
    read: bool = False
    alerts: tuple[Alert, ...] = ()


CATALOGUE: Final = (
    # -- is it there? ------------------------------------------------------------------------------
    Metric(
        "tallystick_ready",
        Kind.GAUGE,
        (),
        "1 or 0",
        "Whether the worker decides what comes in. 0 while it joins, restores or stops.",
        read=True,
        alerts=(
            Alert(
                "TallystickNotReady",
                "tallystick_ready == 0",
                "5m",
                "page",
                "A worker has not been ready for five minutes.",
                "Ask `/health` why. Restoring takes seconds for a hundred thousand events; joining takes "
                "none: look for a worker that hangs in the group. A worker that is gone altogether is missing in "
                "`up`.",
            ),
        ),
    ),
    Metric(
        "tallystick_partitions",
        Kind.GAUGE,
        (),
        "indexes",
        "How many indexes the house has, over all workers.",
        read=True,
    ),
    Metric(
        "tallystick_indexes",
        Kind.GAUGE,
        (),
        "indexes",
        "How many of them this worker owns.",
        read=True,
        alerts=(
            Alert(
                "TallystickIndexesWithoutOwner",
                "sum(tallystick_indexes) < max(tallystick_partitions)",
                "2m",
                "page",
                "An index has no owner: its payments wait.",
                "Start another worker, or see in the log of those that run why they do not take it over. Two "
                "minutes are more than a rebalance and a restore from a snapshot take.",
            ),
        ),
    ),
    # -- does it get on? ---------------------------------------------------------------------------
    Metric(
        "tallystick_lag_records",
        Kind.GAUGE,
        ("topic",),
        "records",
        "How far this worker's partitions of an input topic are behind the committed end. Offsets have holes, one "
        "for each transaction: a few records of lag are none.",
        read=True,
        alerts=(
            Alert(
                "TallystickLagging",
                "sum by (topic) (tallystick_lag_records) > 10000",
                "5m",
                "page",
                "An input is read more slowly than it is written.",
                "Behind on every topic: add a worker, as long as there are more indexes than workers. Behind on "
                "`payments.requests` alone: the networks answer too slowly (see `tallystick_open_attempts`).",
            ),
        ),
    ),
    Metric(
        "tallystick_tick",
        Kind.GAUGE,
        ("index",),
        "tick",
        "The last tick that the index's payments engine has passed. In wall time at speed 1, Unix seconds.",
        read=True,
    ),
    Metric(
        "tallystick_commit_age_seconds",
        Kind.GAUGE,
        ("index",),
        "seconds",
        "Time since the index's last commit. In wall time every second has one; in virtual time an idle index has "
        "none, and the alert does not apply.",
        read=True,
        alerts=(
            Alert(
                "TallystickIndexStands",
                "tallystick_commit_age_seconds > 30",
                "1m",
                "page",
                "An index has not committed for half a minute: no tick passes, no deadline is kept.",
                "See the worker's log and the broker's. Where the worker does not get on by itself, end it: "
                "whoever takes the index over restores it.",
            ),
        ),
    ),
    Metric(
        "tallystick_open_attempts",
        Kind.GAUGE,
        ("index",),
        "submissions",
        "Submissions that no network has answered yet. At 20,000 the index leaves new requests on their topic.",
        read=True,
        alerts=(
            Alert(
                "TallystickAnswersMissing",
                "tallystick_open_attempts > 15000",
                "1m",
                "page",
                "The networks do not answer, or the adapter does not run; soon new requests will wait.",
                "See whether `tallystick adapter` runs, then which network is silent: "
                "`tallystick_authorizations_total` by outcome.",
            ),
        ),
    ),
    Metric(
        "tallystick_transactions_total",
        Kind.COUNTER,
        ("index",),
        "transactions",
        "Transactions committed since this worker took the index.",
        read=True,
    ),
    Metric(
        "tallystick_inputs_total",
        Kind.COUNTER,
        ("index",),
        "records",
        "Input records taken.",
        read=True,
    ),
    Metric(
        "tallystick_events_total",
        Kind.COUNTER,
        ("index",),
        "events",
        "Events recorded.",
        read=True,
    ),
    Metric(
        "tallystick_requests_total",
        Kind.COUNTER,
        ("index",),
        "requests",
        "Requests of producers taken.",
        read=True,
    ),
    Metric(
        "tallystick_decide_seconds_total",
        Kind.COUNTER,
        ("index",),
        "seconds",
        "Time spent deciding. Its rate is the share of a core.",
        read=True,
    ),
    Metric(
        "tallystick_commit_seconds_total",
        Kind.COUNTER,
        ("index",),
        "seconds",
        "Time from the first record handed to the broker to the commit. Divided by transactions, what one takes.",
        read=True,
        alerts=(
            Alert(
                "TallystickSlowCommits",
                "rate(tallystick_commit_seconds_total[5m]) / rate(tallystick_transactions_total[5m]) > 1",
                "5m",
                "ticket",
                "A commit takes more than a second on average; the limit is below five.",
                "The broker is starved or has lost a copy: see its log and `under-replicated partitions`.",
            ),
        ),
    ),
    Metric(
        "tallystick_restore_seconds",
        Kind.GAUGE,
        ("index",),
        "seconds",
        "How long it took to restore the index when this worker took it.",
        read=True,
    ),
    Metric(
        "tallystick_restored_events",
        Kind.GAUGE,
        ("index",),
        "events",
        "How many events of its logs that took: from a standby, those behind which it was.",
        read=True,
    ),
    Metric(
        "tallystick_first_commit_seconds",
        Kind.GAUGE,
        ("index",),
        "seconds",
        "From the moment at which this worker began to take the index over, with its fence, to its first commit; 0 "
        "before that.",
        read=True,
    ),
    Metric(
        "tallystick_restored_warm",
        Kind.GAUGE,
        ("index",),
        "1 or 0",
        "Whether the index was taken over from a standby of this worker.",
        read=True,
    ),
    # -- could it take over? -----------------------------------------------------------------------
    Metric(
        "tallystick_standby_lag_records",
        Kind.GAUGE,
        ("index",),
        "records",
        "How far the standby of an index is behind the committed ends of its logs. It gives way to this worker's own "
        "indexes: while they are crowded it stands.",
        read=True,
    ),
    Metric(
        "tallystick_standby_lag_seconds",
        Kind.GAUGE,
        ("index",),
        "seconds",
        "Since when the standby is not known to have everything that was committed: below five seconds where it keeps "
        "up.",
        read=True,
        alerts=(
            Alert(
                "TallystickStandbyBehind",
                "tallystick_standby_lag_seconds > 60",
                "5m",
                "ticket",
                "A standby does not keep up: taking that index over would fold what it is behind.",
                "It has just been started on a long log: wait. Otherwise this worker's own indexes leave it no time: "
                "give the standby to a worker that has none, or fewer standbys to this one.",
            ),
        ),
    ),
    Metric(
        "tallystick_standby_events_total",
        Kind.COUNTER,
        ("index",),
        "events",
        "Events that the standby of an index has folded since it follows it.",
        read=True,
    ),
    Metric(
        "tallystick_standby_lost",
        Kind.GAUGE,
        ("index",),
        "1 or 0",
        "Whether a standby has been given up, because it could not read or decided otherwise than its owner.",
        read=True,
        alerts=(
            Alert(
                "TallystickStandbyLost",
                "tallystick_standby_lost == 1",
                "0m",
                "page",
                "What the owner of an index has recorded could not be decided again here.",
                "See the worker's log for the record and the field. Two workers of different code decide differently: "
                "bring them to one. With the same code the log is damaged or a decision depends on chance: "
                "`tallystick replay --verify` says which, and where.",
            ),
        ),
    ),
    Metric(
        "tallystick_loop_delay_seconds",
        Kind.GAUGE,
        (),
        "seconds",
        "How much too late the last one-second timer came. A blocked loop also stops the heartbeats of the group.",
        alerts=(
            Alert(
                "TallystickLoopBlocked",
                "tallystick_loop_delay_seconds > 3",
                "1m",
                "ticket",
                "The worker's event loop is blocked for seconds; at ten it would lose its partitions.",
                "Fewer records in a batch, or fewer indexes on this worker; see whether the machine is starved.",
            ),
        ),
    ),
    # -- is it right? ------------------------------------------------------------------------------
    Metric(
        "tallystick_dead_letters_total",
        Kind.COUNTER,
        ("reason",),
        "records",
        "Records put aside, by reason.",
        alerts=(
            Alert(
                "TallystickDecisionFailed",
                'increase(tallystick_dead_letters_total{reason="decision_failed"}[10m]) > 0',
                "0m",
                "page",
                "A processor raised on an input: a defect of ours. The stream went on without it.",
                "`tallystick dead-letters list`, then mend the code and retry.",
            ),
            Alert(
                "TallystickDeadLetters",
                "sum(increase(tallystick_dead_letters_total[10m])) > 100",
                "0m",
                "ticket",
                "A producer writes what cannot be taken.",
                "`tallystick dead-letters list` names the reasons; `docs/producers.md` says what each asks of the "
                "producer.",
            ),
        ),
    ),
    Metric(
        "tallystick_clock_step_seconds",
        Kind.GAUGE,
        (),
        "seconds",
        "How far the wall clock has moved against one that nobody can set, within the last hour.",
        alerts=(
            Alert(
                "TallystickClockMoves",
                "abs(tallystick_clock_step_seconds) > 2",
                "0m",
                "ticket",
                "The wall clock was set by seconds. More than five minutes stop the worker.",
                "See the machine's time service. A worker that has stopped starts again with --confirm-clock.",
            ),
        ),
    ),
    # -- do payments go through? -------------------------------------------------------------------
    Metric(
        "tallystick_authorizations_total",
        Kind.COUNTER,
        ("network", "outcome"),
        "attempts",
        "What became of authorization attempts: approved, declined_account, declined_card, declined_issuer, "
        "declined_unavailable, timed_out, not_sent.",
        alerts=(
            Alert(
                "TallystickNetworkSilent",
                'sum by (network) (rate(tallystick_authorizations_total{outcome=~"timed_out|not_sent"}[5m])) '
                "> 0.2 * sum by (network) (rate(tallystick_authorizations_total[5m]))",
                "2m",
                "page",
                "One attempt in five at a network is not answered.",
                "Reversals go out by themselves. Ask the network; other networks are tried only for what was "
                "never sent.",
            ),
        ),
    ),
    Metric(
        "tallystick_authorization_seconds",
        Kind.HISTOGRAM,
        ("network",),
        "seconds",
        "From the commit of a submission to the commit of its answer, as this worker saw it.",
    ),
    # -- the worker's own low-rate work ------------------------------------------------------------
    Metric(
        "tallystick_samples_total",
        Kind.COUNTER,
        ("outcome",),
        "samples",
        "Samples for `ops.samples`: sent or lost. Losing one changes no money.",
    ),
    Metric(
        "tallystick_samples_folded_total",
        Kind.COUNTER,
        ("outcome",),
        "samples",
        "Samples of all workers that came to this one: folded, stale or unreadable.",
    ),
    Metric(
        "tallystick_network_alert",
        Kind.GAUGE,
        ("network", "alert"),
        "1 or 0",
        "What `ops.alerts` says, on the worker that watches: 1 from raised to over.",
        alerts=(
            Alert(
                "TallystickNetworkAlert",
                "max by (network, alert) (tallystick_network_alert) == 1",
                "0m",
                "page",
                "A network's success rate is too low or its answers are too slow.",
                "The record on `ops.alerts` has the figures. Compare the other networks: one alone is the "
                "network's affair, all together are ours.",
            ),
        ),
    ),
    Metric(
        "tallystick_probes_total",
        Kind.COUNTER,
        ("outcome",),
        "probes",
        "With --livecheck: samples that were to come back through the agent. ok, late or failed.",
        alerts=(
            Alert(
                "TallystickProbeFails",
                'increase(tallystick_probes_total{outcome!="ok"}[5m]) > 2',
                "0m",
                "ticket",
                "Samples do not come back: nobody watches the networks.",
                "Payments go on. See the worker's log for Faust's; `tallystick topics check` shows whether the "
                "ops topics are there.",
            ),
        ),
    ),
    Metric(
        "tallystick_probe_seconds",
        Kind.GAUGE,
        (),
        "seconds",
        "How long the last probe took to come back.",
    ),
    Metric(
        "tallystick_faust_sends_total",
        Kind.COUNTER,
        ("outcome",),
        "records",
        "Records that Faust has sent (alerts and probes, never money): ok or error.",
    ),
    Metric(
        "tallystick_faust_rebalances_total",
        Kind.COUNTER,
        (),
        "rebalances",
        "Rebalances of Faust's own consumer group. The engine's group is another.",
    ),
    Metric(
        "tallystick_faust_rebalance_seconds",
        Kind.GAUGE,
        (),
        "seconds",
        "How long the last of them took.",
    ),
)

BY_NAME: Final = {metric.name: metric for metric in CATALOGUE}
ALERTS: Final = tuple(alert for metric in CATALOGUE for alert in metric.alerts)
