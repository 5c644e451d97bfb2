"""What leaves for the networks: records in batches, batches in files, and the bytes of each file a second time."""

import hashlib
from collections import Counter, defaultdict
from datetime import UTC, datetime

from tests.simulation.auditor.logs import Body, Event, Findings


class Files:
    """Every record is in one file that its network took, and every file is what its records make of it.

    The bytes of a file are made here a second time, from what ``docs/clearing.md`` says of the format.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[int, str], list[Body]] = defaultdict(list)
        self._closed: dict[tuple[int, str, int], list[Body]] = {}
        self._files: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        self._in_file: dict[tuple[int, str, int], str] = {}
        self._told: dict[tuple[str, str, int], Body] = {}

    def take(self, event: Event) -> Findings:
        """Follow records into batches and batches into files."""
        name, body, partition = event.name, event.body, event.partition
        match name:
            case "ClearingRecordCreated":
                self._open[partition, body["batch_id"]].append(body)
            case "ClearingBatchClosed":
                yield from self._close(event)
            case "ClearingFileSent" | "ClearingFileRejected" | "ClearingFileAccepted":
                told = self._told.setdefault((name, body["file_id"], body["attempt"]), body)
                if told != body:
                    yield f"{event.where}: {name} says another thing of {body['file_id']} than elsewhere"
            case "ClearingBatchAccepted":
                batch = (partition, body["batch_id"], body["cut_off_at"])
                if batch not in self._closed:
                    yield f"{event.where}: batch {body['batch_id']} is accepted and was not closed"
                elif batch in self._in_file:
                    yield f"{event.where}: batch {body['batch_id']} is in {self._in_file[batch]} already"
                elif _figures(body) != _sums(self._closed[batch]):
                    yield f"{event.where}: batch {body['batch_id']} is accepted with other totals"
                self._in_file[batch] = body["file_id"]
                self._files[body["file_id"]].append(batch)
            case _:
                pass

    def _close(self, event: Event) -> Findings:
        body = event.body
        records = self._open.pop((event.partition, body["batch_id"]), [])
        self._closed[event.partition, body["batch_id"], body["cut_off_at"]] = records
        if _figures(body) != _sums(records):
            yield f"{event.where}: batch {body['batch_id']} says {_figures(body)}, it has {_sums(records)}"

    def close(self, ended: bool) -> Findings:
        """When all is over, every batch is in a file, every file is accepted once, and is what it should be."""
        if not ended:
            return
        for partition, batch_id in sorted(self._open):
            yield f"payments/{partition}: batch {batch_id} was never closed"
        for batch in sorted(self._closed.keys() - self._in_file.keys()):
            yield f"payments/{batch[0]}: batch {batch[1]} is in no file that a network took"
        accepted: Counter[str] = Counter()
        for (name, file_id, attempt), told in sorted(self._told.items(), key=lambda item: item[0]):
            if name == "ClearingFileAccepted":
                accepted[file_id] += 1
                yield from self._check(file_id, attempt, told)
            elif name == "ClearingFileSent":
                accepted[file_id] += 0
            elif (
                told["reason"] != "duplicate" and ("ClearingFileSent", file_id, attempt + 1) not in self._told
            ):
                yield f"{file_id} was refused, and was not sent again after attempt {attempt}"
        for file_id, times in sorted(accepted.items()):
            if times != 1:
                yield f"{file_id} was accepted {times} times"

    def _check(self, file_id: str, attempt: int, told: Body) -> Findings:
        """An accepted file is what was sent, and both are what the records make of it."""
        merged: dict[tuple[str, str], list[Body]] = defaultdict(list)
        for batch in self._files[file_id]:
            for record in self._closed.get(batch, []):
                merged[record["currency"], record["batch_id"]].append(record)
        sent = self._told.get(("ClearingFileSent", file_id, attempt), {})
        if any(sent.get(field) != value for field, value in told.items()):
            yield f"{file_id} was accepted as something else than was sent"
        figures = [
            (batch["batch_id"], batch["currency"], *_figures(batch), batch["hash_total"])
            for batch in told["batches"]
        ]
        ours = [
            (batch_id, currency, *_sums(rows), _hashed(rows))
            for (currency, batch_id), rows in sorted(merged.items())
        ]
        if figures != ours or told["records"] != sum(map(len, merged.values())):
            yield f"{file_id} was accepted with totals that its records do not come to"
        if hashlib.sha256(_file(file_id, attempt, told, merged)).hexdigest() != told["sha256"]:
            yield f"{file_id} has other bytes than its records make"


def _figures(body: Body) -> tuple[int, ...]:
    return tuple(body[field] for field in ("presentments", "presented_amount", "refunds", "refunded_amount"))


def _sums(records: list[Body]) -> tuple[int, ...]:
    found: list[int] = []
    for kind in ("presentment", "refund"):
        amounts = [record["amount"] for record in records if record["kind"] == kind]
        found += [len(amounts), sum(amounts)]
    return tuple(found)


def _hashed(records: list[Body]) -> int:
    return sum(int(record["arn"]) for record in records) % (10**18 - 1)


def _file(file_id: str, attempt: int, told: Body, merged: dict[tuple[str, str], list[Body]]) -> bytes:
    cut_off = datetime.fromtimestamp(told["cut_off_at"] // 10**6, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    lines = [f"FH|TALLYSTICK-CLEARING-1|{file_id}|{told['network']}|{cut_off}|{attempt}|simulated"]
    for (currency, batch_id), records in sorted(merged.items()):
        lines.append(f"BH|{batch_id}|{currency}")
        for one in sorted(records, key=lambda record: (record["arn"], record["record_id"])):
            code = "PR" if one["kind"] == "presentment" else "RF"
            fields = ("arn", "record_id", "payment_id", "source_id", "merchant", "presentment", "amount")
            lines.append("|".join([code, *(str(one[field]) for field in fields)]))
        lines.append("|".join(["BT", batch_id, *map(str, _sums(records)), str(_hashed(records))]))
    total = sum(map(_hashed, merged.values())) % (10**18 - 1)
    lines.append(f"FT|{len(merged)}|{sum(map(len, merged.values()))}|{total}")
    return "".join(f"{line}\n" for line in lines).encode()
