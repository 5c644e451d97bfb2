"""``docs/metrics.md`` and the rules for Prometheus, from the catalogue of metrics."""

from typing import Final

from events.errors import Refused
from infra.docs.markdown import WRITTEN, page, table
from infra.worker.catalogue import CATALOGUE, NETWORKS, Alert

_ABOUT: Final = f"""\
`tallystick worker` serves these at `/metrics` on its loopback port. No label holds what there may be any number of:
no merchant, card or payment; at most {NETWORKS} networks have a label of their own, all others share `other`. Beside
them stand Prometheus's own of the process (`process_resident_memory_bytes` and so on). What is counted is counted per
batch."""
_RULES: Final = """\
The rules are in [infra/prometheus/alerts.yml](../infra/prometheus/alerts.yml). `page` is for whoever is on duty, now;
`ticket` is for the next working day."""
_WRITTEN: Final = "# Written by `python -m infra.docs` from the catalogue of metrics. Do not edit it."


def text() -> str:
    """The page; Refused where an alert asks for a metric that there is not."""
    check()
    rows = (
        (f"`{metric.name}`", str(metric.kind), _code(metric.labels), metric.unit, metric.meaning)
        for metric in CATALOGUE
    )
    return page(
        WRITTEN,
        "# Metrics and alerts",
        _ABOUT,
        table(("metric", "type", "labels", "unit", "meaning"), rows),
        "## Alerts",
        _RULES,
        *(_section(alert, metric.name) for metric in CATALOGUE for alert in metric.alerts),
    )


def rules() -> str:
    """The rules file. Every text stands in double quotes, which YAML reads as JSON does."""
    check()
    lines = [_WRITTEN, "groups:", "  - name: tallystick", "    rules:"]
    for metric in CATALOGUE:
        for alert in metric.alerts:
            lines += [
                f"      - alert: {alert.name}",
                f"        expr: {_quoted(alert.expression)}",
                f"        for: {alert.lasting}",
                "        labels:",
                f"          severity: {alert.severity}",
                "        annotations:",
                f"          summary: {_quoted(alert.meaning)}",
                f"          action: {_quoted(alert.action)}",
            ]
    return "\n".join(lines) + "\n"


def check() -> None:
    """Refused where a name is given twice, or an alert does not ask for the metric under which it stands."""
    names = [metric.name for metric in CATALOGUE] + [alert.name for m in CATALOGUE for alert in m.alerts]
    if len(names) != len(set(names)):
        raise Refused("the catalogue of metrics has a name twice")
    for metric in CATALOGUE:
        for alert in metric.alerts:
            if metric.name not in alert.expression:
                raise Refused(f"the alert {alert.name} does not ask for {metric.name}, under which it stands")


def _section(alert: Alert, metric: str) -> str:
    return "\n\n".join(
        [
            f"### {alert.name}",
            f"{alert.meaning} ({alert.severity}, `{metric}`)",
            f"```promql\n{alert.expression}\n```",
            f"When that holds for {alert.lasting}: {_lower(alert.action)}",
        ]
    )


def _lower(sentence: str) -> str:
    return sentence if sentence.startswith("`") else sentence[0].lower() + sentence[1:]


def _code(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
