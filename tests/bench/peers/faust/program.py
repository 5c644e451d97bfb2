"""The authorization path in Faust: agents and tables, at least once.

As the documentation writes programs: one agent for each topic, a table for each thing to be remembered, JSON. Values
are plain dicts, not ``faust.Record``: they are cheaper. Settings come from the environment, the tuning under the names
of the settings themselves. Run as ``python program.py worker -l warn --without-web``.
"""

import json
import os
from pathlib import Path

import faust

from tests.bench.peers.decisions import Terms, answer, authorize

PREFIX = os.environ["PEER_PREFIX"]
PARTITIONS = int(os.environ["PEER_PARTITIONS"])

terms = Terms(json.loads(Path(os.environ["PEER_TERMS"]).read_text("utf-8")))
app = faust.App(
    f"{PREFIX}.faust",
    broker=f"kafka://{os.environ['PEER_BOOTSTRAP']}",
    datadir=os.environ["PEER_STATE"],
    topic_partitions=PARTITIONS,
    topic_replication_factor=1,
    topic_disable_leader=True,
    table_standby_replicas=0,
    key_serializer="raw",
    value_serializer="json",
    **json.loads(os.environ["PEER_TUNING"]),
)


def topic(name: str) -> faust.TopicT:
    """A topic of this run, keyed by text."""
    return app.topic(f"{PREFIX}.{name}", key_serializer="raw", value_serializer="json", partitions=PARTITIONS)


requests, payments, replies = topic("requests"), topic("payments"), topic("replies")
submissions, outcomes, refused = topic("submissions"), topic("outcomes"), topic("refused")

claims = app.Table("claims", partitions=PARTITIONS)
histories = app.Table("histories", partitions=PARTITIONS)
answered = app.Table("answered", partitions=PARTITIONS, default=int)
holds = app.Table("holds", partitions=PARTITIONS, default=int)


async def send_on(step: dict) -> None:
    """To the network, or into the outcomes."""
    if step["type"] == "submission":
        await submissions.send(key=step["card_id"].encode(), value=step)
    else:
        await outcomes.send(key=step["merchant"].encode(), value=step)


@app.agent(requests)
async def claim(stream):
    """Each idempotency key once."""
    async for request in stream:
        name = request["merchant"] + "/" + request["idempotency_key"]
        if name in claims:
            await refused.send(key=name.encode(), value={"payment": name, "reason": "duplicate"})
        else:
            claims[name] = True
            await payments.send(key=request["card_id"].encode(), value=request)


@app.agent(payments)
async def decide(stream):
    """Velocity, verdict, route."""
    async for payment in stream:
        card = payment["card_id"]
        history = histories.get(card) or []
        step = authorize(terms, history, payment)
        histories[card] = history
        await send_on(step)


@app.agent(replies)
async def settle(stream):
    """What the network said, once for each attempt."""
    async for reply in stream:
        if reply["attempt"] == answered[reply["payment"]] + 1:
            answered[reply["payment"]] = reply["attempt"]
            await send_on(answer(terms, reply))


@app.agent(outcomes)
async def hold(stream):
    """What each merchant's customers have on hold, by currency."""
    async for outcome in stream:
        if outcome["outcome"] == "authorized":
            holds[outcome["merchant"] + "/" + outcome["currency"]] += outcome["approved"]


if __name__ == "__main__":
    app.main()
