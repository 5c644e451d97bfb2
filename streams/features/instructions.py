"""Instructions of our own people about a merchant's money: four eyes on each, and an event for what becomes of it."""

from events.balances import (
    InstructionRefusal,
    MerchantLossWrittenOff,
    SettlementHoldPlaced,
    SettlementHoldReleased,
    SettlementInstructionRefused,
)
from events.base import Event
from events.reference import HoldInstruction, Instruction, WriteOffInstruction
from streams.features.merchantbooks import Book


def follow(book: Book, kind: str, ref_id: str, instruction: Instruction) -> list[Event]:
    """What an instruction does to a book; refused with its reason where it must not do anything."""
    reason = _refusal(book, instruction)
    if reason is not None:
        return [SettlementInstructionRefused(book.merchant, book.currency, kind, ref_id, reason)]
    match instruction:
        case HoldInstruction(released=True):
            kept = book.holds[instruction.hold_id].amount
            return [
                SettlementHoldReleased(
                    book.merchant, book.currency, instruction.hold_id, kept, instruction.approver
                )
            ]
        case HoldInstruction():
            there = max(book.available, 0)
            return [
                SettlementHoldPlaced(
                    book.merchant,
                    book.currency,
                    instruction.hold_id,
                    instruction.reason,
                    instruction.amount,
                    min(instruction.amount, there) if instruction.amount else there,
                    instruction.approver,
                )
            ]
        case WriteOffInstruction():
            return [
                MerchantLossWrittenOff(
                    book.merchant,
                    book.currency,
                    instruction.write_off_id,
                    instruction.reason,
                    instruction.amount or book.receivable,
                    instruction.approver,
                )
            ]
        case _:
            raise AssertionError(f"{type(instruction).__name__} is no instruction about a book")


def _refusal(book: Book, instruction: Instruction) -> InstructionRefusal | None:
    """The first reason against an instruction; None for a good one."""
    if not instruction.approver:
        return InstructionRefusal.APPROVER_MISSING
    if instruction.approver == instruction.requested_by:
        return InstructionRefusal.APPROVED_BY_REQUESTER
    match instruction:
        case HoldInstruction():
            return _hold_refusal(book, instruction)
        case WriteOffInstruction():
            return _write_off_refusal(book, instruction)
        case _:
            return None


def _hold_refusal(book: Book, instruction: HoldInstruction) -> InstructionRefusal | None:
    known = instruction.hold_id in book.holds
    if instruction.released:
        return None if known else InstructionRefusal.HOLD_UNKNOWN
    if known:
        return InstructionRefusal.HOLD_EXISTS
    return InstructionRefusal.AMOUNT_NEGATIVE if instruction.amount < 0 else None


def _write_off_refusal(book: Book, instruction: WriteOffInstruction) -> InstructionRefusal | None:
    if instruction.amount < 0:
        return InstructionRefusal.AMOUNT_NEGATIVE
    if book.receivable == 0:
        return InstructionRefusal.NOTHING_OWED
    return InstructionRefusal.MORE_THAN_OWED if instruction.amount > book.receivable else None
