"""The authorization path in Quix Streams, exactly once: a streaming dataframe for each topic, state by key.

As the documentation writes programs: ``app.dataframe``, ``apply(..., stateful=True)``, ``to_topic``. State is RocksDB
with a changelog; outputs, changelogs and positions of a checkpoint are one Kafka transaction. Settings come from the
environment, the tuning under the names of the settings themselves.
"""

import json
import os
from pathlib import Path

from quixstreams import Application, State
from quixstreams.models import TopicConfig

from tests.bench.peers.decisions import Terms, answer, authorize

PREFIX = os.environ["PEER_PREFIX"]

terms = Terms(json.loads(Path(os.environ["PEER_TERMS"]).read_text("utf-8")))
app = Application(
    broker_address=os.environ["PEER_BOOTSTRAP"],
    consumer_group=f"{PREFIX}.quix",
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    state_dir=os.environ["PEER_STATE"],
    loglevel="WARNING",
    **json.loads(os.environ["PEER_TUNING"]),
)
config = TopicConfig(num_partitions=int(os.environ["PEER_PARTITIONS"]), replication_factor=1)
topics = {
    name: app.topic(f"{PREFIX}.{name}", key_deserializer="str", key_serializer="str", config=config)
    for name in ("requests", "payments", "submissions", "replies", "outcomes", "refused")
}


def claim(request: dict, state: State) -> dict:
    """Each idempotency key once: the state is that of the record's key."""
    if state.get("claimed"):
        return {"payment": request["merchant"] + "/" + request["idempotency_key"], "reason": "duplicate"}
    state.set("claimed", True)
    return request


def decide(payment: dict, state: State) -> dict:
    """Velocity, verdict, route."""
    history = state.get("history", [])
    step = authorize(terms, history, payment)
    state.set("history", history)
    return step


def settle(reply: dict, state: State) -> dict | None:
    """What the network said, once for each attempt."""
    name = "answered/" + reply["payment"]
    if reply["attempt"] != state.get(name, 0) + 1:
        return None
    state.set(name, reply["attempt"])
    return answer(terms, reply)


def hold(outcome: dict, state: State) -> None:
    """What each merchant's customers have on hold, by currency."""
    if outcome["outcome"] == "authorized":
        state.set(outcome["currency"], state.get(outcome["currency"], 0) + outcome["approved"])


def send_on(steps) -> None:
    """To the network, or into the outcomes."""
    steps[steps["type"] == "submission"].to_topic(topics["submissions"], key=lambda step: step["card_id"])
    steps[steps["type"] == "outcome"].to_topic(topics["outcomes"], key=lambda step: step["merchant"])


claimed = app.dataframe(topics["requests"]).apply(claim, stateful=True)
claimed[claimed.contains("card_id")].to_topic(topics["payments"], key=lambda payment: payment["card_id"])
claimed[claimed.contains("reason")].to_topic(topics["refused"])
send_on(app.dataframe(topics["payments"]).apply(decide, stateful=True))
settled = app.dataframe(topics["replies"]).apply(settle, stateful=True)
send_on(settled.filter(lambda step: step is not None))
app.dataframe(topics["outcomes"]).update(hold, stateful=True)

if __name__ == "__main__":
    app.run()
