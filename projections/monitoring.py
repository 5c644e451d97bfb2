"""Monitoring: how near each merchant is to the networks' programmes against fraud and disputes, month by month.

The programmes as their acquirers publish them; as of April 2026. Networks change them, so each has the month from which
it applies, and a past month is held against what applied then:

- *Visa Acquirer Monitoring Program* (VAMP), "excessive" merchants, outside of the Middle East and North Africa: fraud
  reports (TC40) and disputes (TC15) together, by count, over settled payments (TC05) of the same month, card not
  present. 220 basis points from June 2025, 150 from April 2026, and at least 1,500 of them. (Support pages of Checkout,
  "What are the thresholds for disputes and fraud under VAMP"; Austreme, "Updated VAMP thresholds", May 2025.)
- *Mastercard Excessive Chargeback Program*: first chargebacks of a month over payments of the month before. ECM from
  100 of them and 150 basis points, High ECM from 300 and 300. (Solidgate documentation, "Mastercard monitoring
  programs"; Kount, "Mastercard fraud and chargeback monitoring programs explained".)
- *Mastercard Excessive Fraud Merchant* (EFM): chargebacks as fraud (4837, 4863) in e-commerce, by amount, over sales of
  the month before: 50 basis points, 50,000 US dollars or euros, where there were 1,000 payments. (Dalenys help centre,
  "Mastercard Risk Compliance Programs"; Paymentspedia, "Mastercard's Chargeback and Fraud Monitoring Programs".)

What they leave out cannot be told from our log and is counted here: disputes resolved before they were filed, reports
answered by compelling evidence, how much of the volume was authenticated. So a merchant may look nearer than it is.
Amounts are not converted: EFM is asked of each currency that it names. Months are of logical time, UTC.
"""

from typing import Final

from projections.batch import Batch
from projections.port import Rows, Table, View

NAME: Final = "monitoring"
VERSION: Final = 1
TABLES: Final[tuple[Table, ...]] = ()

#: Programme, network, first month, month behind the last; at least: count, basis points, payments before, minor units.
_PROGRAMMES: Final = (
    ("vamp_excessive", "visa", "2025-06-01", "2026-04-01", 1_500, 220, 0, 0),
    ("vamp_excessive", "visa", "2026-04-01", "9999-01-01", 1_500, 150, 0, 0),
    ("ecm", "mastercard", "2020-01-01", "9999-01-01", 100, 150, 0, 0),
    ("hecm", "mastercard", "2020-01-01", "9999-01-01", 300, 300, 0, 0),
    ("efm", "mastercard", "2020-01-01", "9999-01-01", 0, 50, 1_000, 5_000_000),
)
_COLUMNS: Final = (
    "1 AS cleared, 0 AS before, 0::BIGINT AS sales_before, 0 AS reported, 0 AS disputed,"
    " 0::BIGINT AS fraud_amount"
)
_FRAUD: Final = "('4837', '4863')"
_MONTH: Final = "date_trunc('month', step.recorded_at)::DATE"
_NEXT: Final = "(date_trunc('month', step.recorded_at) + INTERVAL '1 month')::DATE"


def _programmes() -> str:
    rows = ", ".join(
        f"('{name}', '{network}', DATE '{since}', DATE '{until}', {count}, {points}, {payments}, {amount})"
        for name, network, since, until, count, points, payments, amount in _PROGRAMMES
    )
    return (
        f"SELECT * FROM (VALUES {rows}) AS programme (programme, network, from_month, until_month, least_count,"
        " least_bps, least_transactions, least_amount)"
    )


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
        "The networks' programmes against fraud and disputes that merchants are held against, as of April 2026.",
        _programmes(),
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
                    WHEN percent >= 75 THEN 'near' ELSE 'within' END AS standing
        FROM (
            SELECT figures.*, CASE WHEN base > 0 THEN floor(10000.0 * counted / base)::BIGINT END AS ratio_bps,
                   floor(least(100.0 * counted / least,
                       CASE WHEN base > 0 THEN 1000000.0 * counted / base / least_bps ELSE 100.0 END))::BIGINT
                   AS percent
            FROM (
                SELECT month.merchant, month.network, month.month, programme, '' AS currency, least_bps,
                       least_count AS least, least_transactions,
                       sum(CASE programme WHEN 'vamp_excessive' THEN remote_fraud_reports + remote_disputes
                           ELSE disputes END)::BIGINT AS counted,
                       sum(CASE programme WHEN 'vamp_excessive' THEN remote_transactions
                           ELSE transactions_before END)::BIGINT AS base,
                       sum(transactions_before)::BIGINT AS transactions
                FROM dispute_monitoring AS month JOIN monitoring_programmes AS held
                    ON held.network = month.network AND month.month >= from_month AND month.month < until_month
                WHERE least_amount = 0
                GROUP BY month.merchant, month.network, month.month, programme, least_bps, least_count,
                         least_transactions
                UNION ALL
                SELECT month.merchant, month.network, month.month, programme, currency, least_bps, least_amount,
                       least_transactions, ecommerce_fraud_amount, ecommerce_sales_before, ecommerce_before
                FROM dispute_monitoring AS month JOIN monitoring_programmes AS held
                    ON held.network = month.network AND month.month >= from_month AND month.month < until_month
                WHERE least_amount > 0 AND currency IN ('EUR', 'USD')
            ) AS figures
        ) AS held
        """,
    ),
)


def apply(batch: Batch) -> list[Rows]:
    """Nothing of its own: it reads what others keep."""
    return []
