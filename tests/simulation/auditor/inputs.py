"""What stands on the topics, and what the logs took of it."""

from collections import Counter, defaultdict

from tests.simulation.auditor.logs import INPUTS, Body, Event, Findings

#: Requests that came into the contract later, by the events that hold one kind each.
ALONE = {
    f"{kind}{what}": f"{kind}Request"
    for kind in ("Increment", "Evidence", "Settings")
    for what in ("Received", "Forwarded")
}


class Inputs:
    """What stands on the topics against what the logs say they took: all of it, once, unchanged, in order."""

    def __init__(self, holes: bool) -> None:
        self._holes = holes
        self._topics: dict[tuple[str, int], dict[int, int]] = defaultdict(dict)
        self._taken: dict[tuple[str, int, str], dict[int, int]] = defaultdict(dict)
        self._places: dict[tuple[str, int, str, int], str] = {}
        self.put_aside: set[str] = set()
        self.stated: Counter[tuple[str, str]] = Counter()

    @property
    def given(self) -> bool:
        """Whether there are topics to compare with: a log may come alone."""
        return bool(self._topics)

    def stand(self, topic: str, partition: int, offset: int, name: str, content: Body) -> None:
        """A record of a topic."""
        fact = content.get("fact")
        if name == "Handover" and fact is not None:
            name, content = fact[0].rpartition(".")[2], fact[1]
        if name == "BankLineRecorded":
            self.stated[content["account"], content["currency"]] += content["amount"]
        if name == "Tick":
            name, content = "Marker", {"sender": f"requests/{partition}", **content}
        self._topics[topic, partition][offset] = _digest(name, content)

    def take(self, event: Event) -> Findings:
        """What a log says it took."""
        source, body = event.meta["source"], event.body
        if event.name == "MarkersTaken":
            for marker in body["markers"]:
                seen = {field: marker[field] for field in ("sender", "tick", "at", "reference_version")}
                yield from self._note(event, marker, _digest("Marker", seen))
            return
        if source is None:
            return
        if event.name == "EventDeadLettered":
            place = (event.log, event.partition, source["topic"], source["offset"])
            if place in self._places and body["reason"] == "decision_failed":
                self.put_aside.add(self._places[place])  # It was taken, waited, and could not be decided.
                return
            yield from self._note(event, source, 0)
        else:
            self._places[event.log, event.partition, source["topic"], source["offset"]] = event.where
            name = {"ReferenceApplied": "ReferencePublished"}.get(event.name, event.name)
            if name in {"RequestReceived", "RequestForwarded"} and source["topic"] == "payments.requests":
                kind, request = body["request"]
                yield from self._note(event, source, _digest(kind.rpartition(".")[2], request))
            elif name in ALONE and source["topic"] == "payments.requests":
                yield from self._note(event, source, _digest(ALONE[name], body["request"]))
            else:
                yield from self._note(event, source, _digest(name, body))

    def _note(self, event: Event, source: Body, digest: int) -> Findings:
        if source["topic"] not in INPUTS[event.log]:
            yield f"{event.where}: {event.name} came by {source['topic']}, which {event.log} does not read"
        taken = self._taken[event.log, event.partition, source["topic"]]
        before = next(reversed(taken), -1)
        if source["offset"] in taken:
            yield f"{event.where}: {source['topic']} at {source['offset']} is taken again"
            return
        if source["offset"] < before if self._holes else source["offset"] != before + 1:
            yield f"{event.where}: {source['topic']} at {source['offset']} is taken after {before}"
        taken[source["offset"]] = digest

    def close(self, ended: bool) -> Findings:
        """Everything that stands there has been taken as it is."""
        partitions = sorted({(log, partition) for log, partition, _ in self._taken})
        for log, partition in partitions:
            for topic in INPUTS[log]:
                stands = self._topics.get((topic, 0 if topic == "reference" else partition), {})
                taken = self._taken[log, partition, topic]
                for offset, digest in taken.items():
                    if offset not in stands:
                        yield f"{log}/{partition} took {topic} at {offset}, where nothing stands"
                    elif digest and digest != stands[offset]:
                        yield f"{log}/{partition} says of {topic} at {offset} what does not stand there"
                # All records in front of the last one that was taken: where offsets have holes, counting is not enough.
                last = max(taken, default=0)
                passed_over = [offset for offset in stands if offset < last and offset not in taken]
                if passed_over:
                    yield f"{log}/{partition} passed over {topic} at {passed_over[0]}"
                if ended and len(taken) < len(stands):
                    yield f"{log}/{partition} took {len(taken)} of the {len(stands)} records of {topic}"


def _digest(name: str, content: Body) -> int:
    return hash((name, repr(content))) or 1
