"""The line to the card networks for the peers, simulated: the same answers as Tallystick's adapter gives.

What it says is a function of (seed, payment, attempt, amount), :func:`streams.edge.networks.authorize`. It gives back
the submission with the answer in it. Cheaper than our own adapter, for it keeps no journal: whoever asks twice is told
the same. A process for itself: ``python -m tests.bench.peers.network BOOTSTRAP PREFIX SEED``.
"""

import sys
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, Producer

from events.identity import payment_id, rrn
from streams.edge.networks import TWICE, authorize, chance

BATCH: Final = 1_000
_WAIT_SECONDS: Final = 0.005


def answers(seed: int, submission: dict[str, Any]) -> list[bytes]:
    """What comes back to a submission: one reply, now and then the same twice."""
    merchant, _, key = submission["payment"].partition("/")
    reference = rrn(payment_id(merchant, key, submission["card_id"]))
    said = authorize(seed, reference, submission["attempt"], submission["amount"], healthy=True)
    reply = msgspec.json.encode(
        {
            **submission,
            "type": "reply",
            "sent": said.sent,
            "response_code": said.response_code,
            "approved_amount": said.approved_amount,
            "approved_currency": said.currency or submission["currency"],
        }
    )
    answered = bool(said.response_code)
    return [reply] * (
        2 if answered and chance(seed, "twice", reference, submission["attempt"]) < TWICE else 1
    )


def serve(bootstrap: str, prefix: str, seed: int) -> None:
    """Answer until the process is ended."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 2})
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{prefix}.network",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
        }
    )
    consumer.subscribe([f"{prefix}.submissions"])
    while True:
        for message in consumer.consume(BATCH, _WAIT_SECONDS):
            if message.error():
                raise SystemExit(str(message.error()))
            submission = msgspec.json.decode(message.value())
            for reply in answers(seed, submission):
                producer.produce(f"{prefix}.replies", reply, message.key())
        producer.poll(0)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
