"""Monitoring: how near each merchant is to the networks' programmes against fraud and disputes, month by month.

The programmes are reference data (``infra/reference/programmes.toml`` has those to start with, and their sources): each
has the months from which and until which it applies, and a past month is held against what applied then, by the latest
reference data.

What they leave out cannot be told from our log and is counted here: disputes resolved before they were filed, reports
answered by compelling evidence, how much of the volume was authenticated. So a merchant may look nearer than it is.
Amounts are not converted: a programme by amount is asked of each currency that it names. Months are of logical time.

Alerts are decided where all payments of a merchant are counted (``streams.exposure``), and kept as they were raised.
"""

from typing import Final

from events.exposure import DisputeAlertRaised
from events.partitions import ReferenceApplied
from events.reference import DisputeProgramme, DisputeProgrammes, decode_reference
from projections.batch import Batch
from projections.port import Column, Rows, Table, View

NAME: Final = "monitoring"
VERSION: Final = 2

PROGRAMMES: Final = Table(
    "programme_entries",
    "One programme of one version of the networks' programmes, as it came into force.",
    (
        Column("version", "BIGINT", "version of the reference data"),
        Column("alert_percent", "INTEGER", "share of both limits from which a merchant is near, per cent"),
        Column("programme", "TEXT", "name of the programme"),
        Column("network", "TEXT", "the network"),
        Column("counts", "TEXT", "what counts against what; docs/reasons.md explains each"),
        Column("from_month", "DATE", "first month to which it applies"),
        Column("until_month", "DATE", "the month behind the last one"),
        Column("least_count", "BIGINT", "from how many cases on; 0 where it goes by amount"),
        Column("least_bps", "BIGINT", "from which share on of what they are held against, basis points"),
        Column("least_transactions", "BIGINT", "not below so many payments in the month before"),
        Column("least_amount", "BIGINT", "from which amount on, minor units; 0 where it goes by number"),
        Column("currencies", "TEXT", "the currencies of that amount, separated by commas"),
        Column("recorded_at", "TIMESTAMP", "logical time from which it is in force, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=("version", "alert_percent", "programme", "network", "counts", "from_month", "until_month",
              "least_count", "least_bps", "least_transactions", "least_amount", "currencies"),
)  # fmt: skip
DELAYS: Final = Table(
    "programme_delays",
    "How late cases are expected to come, by one version of the networks' programmes.",
    (
        Column("version", "BIGINT", "version of the reference data"),
        Column("days", "INTEGER", "days since the payment was cleared"),
        Column("ppm", "INTEGER", "share of all its cases that have come by then, millionths"),
        Column("recorded_at", "TIMESTAMP", "logical time from which it is in force, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=("version", "days", "ppm"),
)
ALERTS: Final = Table(
    "dispute_alerts",
    "One alert: a merchant comes near a programme, is expected to exceed it, or exceeds it.",
    (
        Column("merchant", "TEXT", "merchant id"),
        Column("network", "TEXT", "the network"),
        Column("programme", "TEXT", "the programme"),
        Column("currency", "TEXT", "ISO 4217 where the programme goes by amount; empty where by number"),
        Column("month", "DATE", "first day of the month"),
        Column("day", "DATE", "the last day that was counted"),
        Column("level", "TEXT", "near, expected or exceeded; docs/reasons.md explains each"),
        Column("counted", "BIGINT", "what counted by then: cases, or minor units"),
        Column("base", "BIGINT", "what it was held against by then"),
        Column("expected", "BIGINT", "what was expected to count when the month ends"),
        Column("expected_base", "BIGINT", "what that will be held against"),
        Column("least", "BIGINT", "from where on the programme applies"),
        Column("least_bps", "BIGINT", "from which share on, basis points"),
        Column("recorded_at", "TIMESTAMP", "logical time of the log, UTC"),
        Column("event_id", "TEXT", "the event; join with events.event_id"),
    ),
    business=("merchant", "network", "programme", "currency", "month", "day", "level", "counted", "base", "expected",
              "expected_base", "least", "least_bps"),
)  # fmt: skip
TABLES: Final = (PROGRAMMES, DELAYS, ALERTS)

_COLUMNS: Final = (
    "1 AS cleared, 0 AS before, 0::BIGINT AS sales_before, 0 AS reported, 0 AS disputed,"
    " 0::BIGINT AS fraud_amount"
)
_FRAUD: Final = "('4837', '4863')"
_MONTH: Final = "date_trunc('month', step.recorded_at)::DATE"
_NEXT: Final = "(date_trunc('month', step.recorded_at) + INTERVAL '1 month')::DATE"


def _facts(month: str, columns: str) -> str:
    """Cleared payments under a month, with what they count as."""
    return f"""
            SELECT request.merchant, step.network, step.currency, {month} AS month,
                   request.channel <> 'point_of_sale' AS remote, request.channel = 'ecommerce' AS ecommerce, {columns}
            FROM payment_steps AS step JOIN payment_requests AS request ON request.payment_id = step.payment_id
            WHERE step.step = 'cleared'"""


VIEWS: Final = (
    View(
        "monitoring_programmes",
        "The networks' programmes against fraud and disputes that merchants are held against, by the latest version.",
        """
        SELECT programme, network, counts, from_month, until_month, least_count, least_bps, least_transactions,
               least_amount, currencies, alert_percent
        FROM programme_entries WHERE version = (SELECT max(version) FROM programme_entries)
        """,
    ),
    View(
        "dispute_monitoring",
        "What each merchant's month was at a network, by currency: payments, fraud reports, disputes.",
        f"""
        SELECT merchant, network, currency, month,
               sum(cleared)::BIGINT AS transactions,
               coalesce(sum(cleared) FILTER (WHERE remote), 0)::BIGINT AS remote_transactions,
               sum(before)::BIGINT AS transactions_before,
               coalesce(sum(before) FILTER (WHERE ecommerce), 0)::BIGINT AS ecommerce_before,
               coalesce(sum(sales_before) FILTER (WHERE ecommerce), 0)::BIGINT AS ecommerce_sales_before,
               sum(reported)::BIGINT AS fraud_reports,
               coalesce(sum(reported) FILTER (WHERE remote), 0)::BIGINT AS remote_fraud_reports,
               sum(disputed)::BIGINT AS disputes,
               coalesce(sum(disputed) FILTER (WHERE remote), 0)::BIGINT AS remote_disputes,
               coalesce(sum(fraud_amount) FILTER (WHERE ecommerce), 0)::BIGINT AS ecommerce_fraud_amount
        FROM ({_facts(_MONTH, _COLUMNS)}
            UNION ALL {_facts(_NEXT, "0, 1, step.amount, 0, 0, 0")}
            UNION ALL
            SELECT request.merchant, step.network, step.currency, {_MONTH},
                   request.channel <> 'point_of_sale', request.channel = 'ecommerce', 0, 0, 0, 1, 0, 0
            FROM payment_steps AS step JOIN payment_requests AS request ON request.payment_id = step.payment_id
            WHERE step.step = 'fraud_warning'
            UNION ALL
            SELECT step.merchant, step.network, step.currency, {_MONTH},
                   request.channel <> 'point_of_sale', request.channel = 'ecommerce', 0, 0, 0, 0, 1,
                   CASE WHEN step.reason IN {_FRAUD} THEN step.amount ELSE 0 END
            FROM dispute_steps AS step JOIN payment_requests AS request ON request.payment_id = step.payment_id
            WHERE step.step = 'opened'
        ) AS facts
        GROUP BY merchant, network, currency, month
        HAVING sum(cleared) + sum(reported) + sum(disputed) > 0
        """,
    ),
    View(
        "monitoring_standing",
        "Each merchant's month against each programme that applied then: what counts, and how near it is.",
        """
        SELECT merchant, network, month, programme, currency, counted, least AS counted_limit, base, ratio_bps,
               least_bps AS ratio_limit_bps, percent AS percent_of_limit,
               CASE WHEN transactions >= least_transactions AND counted >= least
                         AND 10000 * counted >= least_bps * base THEN 'exceeded'
                    WHEN percent >= alert_percent THEN 'near' ELSE 'within' END AS standing
        FROM (
            SELECT figures.*, CASE WHEN base > 0 THEN floor(10000.0 * counted / base)::BIGINT END AS ratio_bps,
                   floor(least(CASE WHEN least > 0 THEN 100.0 * counted / least ELSE 100.0 END,
                       CASE WHEN base > 0 THEN 1000000.0 * counted / base / least_bps ELSE 100.0 END))::BIGINT
                   AS percent
            FROM (
                SELECT month.merchant, month.network, month.month, programme, '' AS currency, least_bps,
                       least_count AS least, least_transactions, alert_percent,
                       sum(CASE counts WHEN 'remote_reports_and_disputes' THEN remote_fraud_reports + remote_disputes
                           ELSE disputes END)::BIGINT AS counted,
                       sum(CASE counts WHEN 'remote_reports_and_disputes' THEN remote_transactions
                           ELSE transactions_before END)::BIGINT AS base,
                       sum(transactions_before)::BIGINT AS transactions
                FROM dispute_monitoring AS month JOIN monitoring_programmes AS held
                    ON held.network = month.network AND month.month >= from_month AND month.month < until_month
                WHERE least_amount = 0
                GROUP BY month.merchant, month.network, month.month, programme, least_bps, least_count,
                         least_transactions, alert_percent
                UNION ALL
                SELECT month.merchant, month.network, month.month, programme, currency, least_bps, least_amount,
                       least_transactions, alert_percent, ecommerce_fraud_amount, ecommerce_sales_before,
                       ecommerce_before
                FROM dispute_monitoring AS month JOIN monitoring_programmes AS held
                    ON held.network = month.network AND month.month >= from_month AND month.month < until_month
                WHERE least_amount > 0 AND strpos(',' || currencies || ',', ',' || currency || ',') > 0
            ) AS figures
        ) AS held
        """,
    ),
    View(
        "dispute_delays",
        "How many days behind their payment's clearing reports and disputes came, at each network.",
        """
        SELECT said.network, said.said, said.days::BIGINT AS days, count(*) AS cases
        FROM (
            SELECT step.network, 'fraud_warning' AS said, step.recorded_at::DATE - cleared.cleared_on AS days
            FROM payment_steps AS step JOIN (
                SELECT payment_id, min(recorded_at)::DATE AS cleared_on FROM payment_steps WHERE step = 'cleared'
                GROUP BY payment_id
            ) AS cleared ON cleared.payment_id = step.payment_id
            WHERE step.step = 'fraud_warning'
            UNION ALL
            SELECT step.network, 'dispute', step.recorded_at::DATE - cleared.cleared_on
            FROM dispute_steps AS step JOIN (
                SELECT payment_id, min(recorded_at)::DATE AS cleared_on FROM payment_steps WHERE step = 'cleared'
                GROUP BY payment_id
            ) AS cleared ON cleared.payment_id = step.payment_id
            WHERE step.step = 'opened'
        ) AS said
        GROUP BY said.network, said.said, said.days
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """One row a programme of each version, one row an alert."""
    return [*_programmes(batch), _alerts(batch)]


def _programmes(batch: Batch) -> list[Rows]:
    """Every log reads reference data; the first partition of payments says what is in force."""
    programmes, delays = Rows.of(PROGRAMMES), Rows.of(DELAYS)
    events = batch.of(ReferenceApplied)
    places = zip(events, events.topics, events.partitions, events.recorded_at, events.event_ids, strict=True)
    for body, topic, partition, recorded_at, event_id in places:
        if body.kind != "programmes" or topic != "payments" or partition != 0:
            continue
        content = decode_reference(body.kind, body.content)
        assert isinstance(content, DisputeProgrammes)
        stamp = {"version": body.version, "recorded_at": recorded_at, "event_id": event_id}
        for one in content.programmes:
            programmes.add(1, alert_percent=content.alert_percent, **_fields(one), **stamp)
        delays.add(
            len(content.delays),
            days=[point.days for point in content.delays],
            ppm=[point.ppm for point in content.delays],
            **stamp,
        )
    return [programmes, delays]


def _fields(programme: DisputeProgramme) -> dict[str, object]:
    return {
        "programme": programme.programme,
        "network": programme.network,
        "counts": programme.counts,
        "from_month": programme.from_on,
        "until_month": programme.until_on,
        "least_count": programme.least_count,
        "least_bps": programme.least_bps,
        "least_transactions": programme.least_transactions,
        "least_amount": programme.least_amount,
        "currencies": ",".join(programme.currencies),
    }


def _alerts(batch: Batch) -> Rows:
    rows = Rows.of(ALERTS)
    events = batch.of(DisputeAlertRaised)
    same = (name for name in ALERTS.business if name not in ("month", "day"))
    rows.add(
        len(events),
        **{name: events.get(name) for name in same},
        month=events.get("month_on"),
        day=events.get("day_on"),
        recorded_at=events.recorded_at,
        event_id=events.event_ids,
    )
    return rows
