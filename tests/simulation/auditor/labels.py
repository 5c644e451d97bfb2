"""What payments turned out to be: who has said so, what counts, and who hears of it."""

from collections import Counter, defaultdict

from tests.simulation.auditor.logs import Event, Findings, event_time

#: Whose word a source of labels is; of each voice the last word counts, and one that says fraud is enough.
VOICES = {"early_warning": "issuer", "dispute": "issuer", "refund": "merchant", "analyst": "analyst"}


def _verdict_of(said: dict[str, str]) -> str:
    return "fraud" if "fraud" in said.values() else "genuine" if said else ""


class Labels:
    """That a label counts once, because somebody said so, and that every partition hears of it."""

    def __init__(self) -> None:
        self._paid_at: dict[str, int] = {}
        self._said: dict[str, dict[str, str]] = defaultdict(dict)
        self._grounds: set[tuple[str, str, str, str]] = set()
        self._counted: dict[str, list[str]] = defaultdict(list)
        self._heard: dict[tuple[str, int], Counter[tuple[str, int, str]]] = defaultdict(Counter)
        self._partitions: set[int] = set()

    def take(self, event: Event) -> Findings:
        """Follow a label from who says it to where it counts."""
        name, body, where = event.name, event.body, event.where
        if event.log == "payments":
            self._partitions.add(event.partition)
        match name:
            case "PaymentRequested" if body["payment_id"] not in self._paid_at:
                self._paid_at[body["payment_id"]] = event_time(event.meta)
            case "ReviewDecided" if body["finding"]:
                self._grounds.add((body["payment_id"], "analyst", body["finding"], body["analyst"]))
            case "RefundApproved" if body["reason"] == "fraudulent":
                self._grounds.add((body["payment_id"], "refund", "fraud", body["refund_id"]))
            case "FraudConfirmed":
                yield from self._confirmed(event)
                self._said[body["payment_id"]][VOICES[body["source"]]] = body["label"]
            case "PaymentLabelled":
                yield from self._labelled(event)
            case "LabelSignalled" | "LabelApplied":
                heard = self._heard[f"{event.log} {name}", event.partition]
                label = (body["payment_id"], body["number"], body["label"])
                heard[label] += 1
                if heard[label] > 1:
                    yield f"{where}: {label} is told a second time"
                if (
                    name == "LabelApplied"
                    and not self._heard["payments LabelSignalled", event.partition][label]
                ):
                    yield f"{where}: {label} counts, and nobody told of it"
            case _:
                pass

    def _confirmed(self, event: Event) -> Findings:
        """Merchants and analysts have said so in a refund or a decision, once for each."""
        body = event.body
        if VOICES[body["source"]] == "issuer":
            return
        ground = (body["payment_id"], body["source"], body["label"], body["reference"])
        if ground not in self._grounds:
            yield f"{event.where}: {ground} is said to be found, and was not"
        self._grounds.discard(ground)

    def _labelled(self, event: Event) -> Findings:
        where, body = event.where, event.body
        payment, label = body["payment_id"], body["label"]
        before = self._counted[payment]
        if _verdict_of(self._said[payment]) != label:
            yield f"{where}: {payment} counts as {label}, which nobody said last"
        if before and before[-1] == label:
            yield f"{where}: {payment} counts as {label} a second time"
        if body["number"] != len(before) + 1 or body["paid_at"] != self._paid_at.get(payment):
            yield f"{where}: {payment} is labelled with another number or time than its own"
        before.append(label)

    def close(self, ended: bool) -> Findings:
        """What was said last counts, and in every partition."""
        if not ended:
            return
        for payment, said in sorted(self._said.items()):
            label = _verdict_of(said)
            if self._counted[payment][-1:] != [label]:
                yield f"{payment} was said to be {label}, and counts as {self._counted[payment]}"
        labels = {
            (payment, number, label)
            for payment, counted in self._counted.items()
            for number, label in enumerate(counted, 1)
        }
        for partition in sorted(self._partitions):
            applied = set(self._heard["payments LabelApplied", partition])
            if applied != labels:
                yield f"payments/{partition}: {sorted(applied ^ labels)[:3]} count here or elsewhere alone"
        signalled = Counter(
            label
            for (told, _), heard in self._heard.items()
            if told == "velocity LabelSignalled"
            for label in heard
        )
        if signalled != Counter(labels):
            yield f"{len(labels)} labels, and velocity was told of {signalled.total()}"
