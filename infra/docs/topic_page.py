"""``docs/topics.md``: the topics, who writes and reads them, and how the engines hang together."""

from typing import Final

from events.errors import Refused
from infra.docs.markdown import WRITTEN, docstring, page, table
from streams import topology
from streams.topology import BROADCAST, ENGINES, INTAKE, LOGS, TOPICS, EngineSpec, Scope, Topic

#: Who writes what no engine writes, and what of it is simulated today.
OUTSIDE: Final = {
    "payments.requests": "producers",
    "network.replies": "network adapter",
    "network.notices": "card networks",
    "bank.statements": "bank",
    "reference": "reference data",
}
_DEAD_LETTERS: Final = "dead-letters"
_ABOUT: Final = """\
A topic named like a log holds that log's events; every other one holds messages. Only producers write
`payments.requests`; engines hand facts to each other over inboxes."""
_BARRIERS: Final = """\
An engine takes tick t when every sender in this table has handed over its tick t - lag: an answer to tick t takes
effect at tick t + lag, or the tick would wait for itself."""


def text() -> str:
    """The page; Refused where a topic has no writer."""
    return page(
        WRITTEN,
        "# Topics",
        _ABOUT,
        table(("topic", "key", "written by", "read by", "holds"), map(_row, TOPICS)),
        "## How the engines hang together",
        _diagram(),
        "## What a tick waits for",
        _BARRIERS,
        table(("log", "waits for", "of", "lag in ticks"), _barriers()),
        "## Who decides, and in which order",
        docstring(topology),
        table(("log", "processors"), ((f"**{spec.name}**", _order(spec)) for spec in ENGINES)),
    )


def writers(topic: str) -> list[str]:
    """Who writes a topic; Refused where nobody does."""
    if topic in LOGS:
        return [topic]
    if topic == _DEAD_LETTERS:
        return ["every engine"]
    if topic in OUTSIDE:
        return [OUTSIDE[topic]]
    found = _senders(topic)
    if not found:
        raise Refused(f"nobody writes the topic {topic}: say in infra/docs/topic_page.py who does")
    return found


def _senders(topic: str) -> list[str]:
    """The engines that hand facts on by a topic; what reaches intake's inbox is handed there by intake itself."""
    if topic == "intake.inbox":
        return [INTAKE.name]
    return [spec.name for spec in ENGINES if topic in spec.marks]


def _row(topic: Topic) -> tuple[str, ...]:
    readers = [spec.name for spec in ENGINES if topic.name in spec.inputs]
    facts = sorted({fact.__name__ for spec in ENGINES for fact in spec.facts.get(topic.name, frozenset())})
    return (
        f"`{topic.name}`",
        topic.key + ("" if topic.partitioned else " (one partition)"),
        ", ".join(writers(topic.name)),
        ", ".join(readers) or ("edges, projections" if topic.name in LOGS else "people"),
        ", ".join(f"[{fact}](events.md#{fact.lower()})" for fact in facts) or _holds(topic.name),
    )


def _holds(topic: str) -> str:
    if topic in LOGS:
        return f"the events of {topic}"
    return {
        "payments.requests": "requests and ticks",
        "reference": "[ReferencePublished](events.md#referencepublished)",
        _DEAD_LETTERS: "[DeadLetter](events.md#deadletter)",
    }[topic]


def _diagram() -> str:
    lines = ["flowchart TD"]
    lines += [f"    {spec.name}[({spec.name})]" for spec in ENGINES]
    for topic, writer in OUTSIDE.items():
        if topic not in BROADCAST:
            readers = [spec.name for spec in ENGINES if topic in spec.inputs]
            lines += [f"    {_node(writer)}([{writer}]) -->|{topic}| {reader}" for reader in readers]
    for spec in ENGINES:
        for topic in spec.inputs:
            lines += [f"    {sender} -->|{topic}| {spec.name}" for sender in _senders(topic)]
    return "\n".join(["```mermaid", *lines, "```"])


def _node(name: str) -> str:
    return name.replace(" ", "_")


def _barriers() -> list[tuple[str, ...]]:
    scopes = {Scope.SAME: "the same partition", Scope.ALL: "every partition", Scope.ZERO: "partition 0"}
    return [
        (f"**{spec.name}**", upstream.sender, scopes[upstream.scope], str(upstream.lag))
        for spec in ENGINES
        for upstream in spec.upstreams
    ]


def _order(spec: EngineSpec) -> str:
    return " → ".join(processor.NAME for processor in spec.processors)
