"""The vault: what it seals one key opens, and no text of it shows a card number."""

import pickle
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Refused, Unavailable, ValidationError
from events.identity import looks_like_pan, slot_of
from events.signals import IdentitySignals, ProviderAnswer
from streams.edge.vault import (
    SEAL_HEADER,
    CardNumber,
    TokenVault,
    body_mac,
    load_key,
    open_keys,
    plain_number,
    seal,
    shown_parts,
    surrogate,
    surrogate_card,
    unseal,
)
from tests.streams.builders_early import capture_request, changed, payment_request, void_request

PAN = "4111111111111111"
AMEX = "378282246310005"
PRIVATE = X25519PrivateKey.from_private_bytes(bytes(range(32)))
SEALED = seal(PRIVATE.public_key(), b"a card number in clear")


# --- keys ---------------------------------------------------------------------------------------------


def test_keys_are_drawn_once_and_kept(tmp_path: Path) -> None:
    """The same folder, the same names and MACs; another folder, others."""
    first, again, other = open_keys(tmp_path / "a"), open_keys(tmp_path / "a"), open_keys(tmp_path / "b")
    request = payment_request()
    assert (first.mac_key_id, first.seal_key_id) == (again.mac_key_id, again.seal_key_id)
    assert first.body_mac(request) == again.body_mac(request) != other.body_mac(request)
    assert first.mac_key_id != other.mac_key_id
    assert first.seal_key_id != other.seal_key_id


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    """Neither folder nor file can be read by others, and nothing else is left in the folder."""
    open_keys(tmp_path / "keys")
    assert 0o700 == stat.S_IMODE((tmp_path / "keys").stat().st_mode)
    files = sorted((tmp_path / "keys").iterdir())
    assert ["body-mac.key", "seal.key"] == [file.name for file in files]
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in files}


def test_processes_that_ask_at_once_get_one_key(tmp_path: Path) -> None:
    """Whoever comes second takes the key of the first."""
    code = "import sys; from pathlib import Path; from streams.edge.vault import load_key; "
    code += "sys.stdout.write(load_key(Path(sys.argv[1]), 'race').hex())"
    asking = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    keys = {process.communicate()[0] for process in asking}
    assert {load_key(tmp_path, "race").hex().encode()} == keys


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\xff", b'{"version":1,"purpose":"seal","key":"c2hvcnQ="}', b'{"version":1,"key":1}'],
)
def test_a_damaged_key_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Never overwritten by a new key: without the old one the log cannot go on."""
    (tmp_path / "seal.key").write_bytes(content)
    with pytest.raises(Refused, match="is not a key file") as caught:
        load_key(tmp_path, "seal")
    assert caught.value.__cause__ is None
    assert content == (tmp_path / "seal.key").read_bytes()


def test_a_key_of_another_purpose_is_refused(tmp_path: Path) -> None:
    """A file copied over another is noticed."""
    load_key(tmp_path, "body-mac")
    (tmp_path / "body-mac.key").rename(tmp_path / "seal.key")
    with pytest.raises(Refused):
        load_key(tmp_path, "seal")


def test_a_folder_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    """A file stands where the folder should."""
    (tmp_path / "keys").touch()
    with pytest.raises(Unavailable, match="cannot be had"):
        load_key(tmp_path / "keys", "seal")


def test_a_mac_covers_every_field() -> None:
    """Equal bodies have equal MACs; a change of any field, and another kind of request, have others.

    What somebody else says of the buyer is no part of what was asked for.
    """
    key = bytes(32)
    request = payment_request()
    assert body_mac(key, request) == body_mac(key, payment_request())
    others = [
        changed(request, **{name: value + 1 if isinstance(value, int) else f"{value}x"})
        for name in request.__struct_fields__
        if name != "signals" and not isinstance(value := getattr(request, name), bool)
    ]
    others += [changed(request, simulated=False), capture_request(), void_request()]
    macs = {body_mac(key, other) for other in others}
    assert len(others) == len(macs)
    assert body_mac(key, request) not in macs
    told = IdentitySignals("provider", ProviderAnswer.GIVEN, "FR", ip_risk=90)
    assert body_mac(key, request) == body_mac(key, changed(request, signals=told))


def test_a_request_has_the_mac_that_it_had_before_version_2() -> None:
    """A key that was claimed with version 1 meets the same body in version 2 as a duplicate."""
    before = payment_request()
    body = msgspec.json.encode(before, order="deterministic")
    assert b"phone_ref" not in body
    assert b"signals" not in body


# --- seals --------------------------------------------------------------------------------------------


@given(st.binary(max_size=2_000))
def test_what_is_sealed_one_key_opens(data: bytes) -> None:
    """Each seal is another text, though it holds the same."""
    first, second = seal(PRIVATE.public_key(), data), seal(PRIVATE.public_key(), data)
    assert data == unseal(PRIVATE, first) == unseal(PRIVATE, second)
    assert first != second


def test_a_deployment_seals_to_its_own_key(tmp_path: Path) -> None:
    """The key file opens what the engine's function sealed."""
    keys = open_keys(tmp_path)
    private = X25519PrivateKey.from_private_bytes(load_key(tmp_path, "seal"))
    assert b"letter" == unseal(private, keys.seal(b"letter"))


@pytest.mark.parametrize("at", range(len(SEALED)))
def test_every_changed_byte_is_noticed(at: int) -> None:
    """Header, ephemeral key, ciphertext, tag: nothing of a seal can be altered."""
    with pytest.raises(ValidationError, match=r"^sealed: "):
        unseal(PRIVATE, SEALED[:at] + bytes([SEALED[at] ^ 0x55]) + SEALED[at + 1 :])


def test_a_seal_cannot_be_cut_or_lengthened() -> None:
    """At no place."""
    for cut in [*(SEALED[:end] for end in range(len(SEALED))), SEALED + b"x"]:
        with pytest.raises(ValidationError):
            unseal(PRIVATE, cut)


def test_another_key_is_named() -> None:
    """Whoever holds the wrong key learns which is the right one."""
    other = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    with pytest.raises(ValidationError, match=r"is for the key seal-[0-9a-f]{16}"):
        unseal(other, SEALED)


def test_a_low_order_point_is_refused() -> None:
    """An ephemeral key that makes every exchange the same is an error, not a crash."""
    weak = SEALED[: SEAL_HEADER - 32] + bytes(32) + SEALED[SEAL_HEADER:]
    with pytest.raises(ValidationError, match="was changed"):
        unseal(PRIVATE, weak)


# --- tokens -------------------------------------------------------------------------------------------


@pytest.fixture
def vault(tmp_path: Path) -> TokenVault:
    """An empty vault."""
    return TokenVault(tmp_path / "vault.db", tmp_path / "keys")


def test_a_number_keeps_its_id(vault: TokenVault, tmp_path: Path) -> None:
    """However it is written, and after the vault was closed; the parts that may be shown come with it."""
    token = vault.token("4111 1111 1111 1111")
    assert ("41111111", "1111") == (token.bin, token.last4)
    assert 0 <= slot_of(token.card_id) < 1024
    assert token == vault.token(PAN) == vault.token("4111-1111-1111-1111")
    vault.close()
    again = TokenVault(tmp_path / "vault.db", tmp_path / "keys")
    assert token == again.token(PAN)
    assert PAN == again.reveal(token.card_id).digits


def test_fifteen_digits_show_six() -> None:
    """The first eight of an Amex number with its last four leave too few to guess."""
    assert ("378282", "0005") == shown_parts(AMEX)


def test_ids_are_drawn_not_derived(tmp_path: Path) -> None:
    """Two vaults give one number two ids: an id says nothing of its number."""
    ids = {TokenVault(tmp_path / f"{n}.db", tmp_path / "keys").token(PAN).card_id for n in range(3)}
    assert 3 == len(ids)


def test_no_file_holds_a_number(vault: TokenVault, tmp_path: Path) -> None:
    """Nor its hash without a key."""
    vault.tokens([PAN, AMEX])
    vault.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert PAN.encode() not in data
            assert AMEX.encode() not in data
    assert 0o600 == stat.S_IMODE((tmp_path / "vault.db").stat().st_mode)


@pytest.mark.parametrize("text", ["4111111111111112", "411111111111", "\uff14" + "\uff11" * 15, "x" * 16, ""])
def test_what_is_no_number_is_refused_unseen(vault: TokenVault, text: str) -> None:
    """The error says what was expected and not what came; nothing of the batch is kept."""
    with pytest.raises(ValidationError, match="card_number: is not 13 to 19 digits") as caught:
        vault.tokens([PAN, text])
    assert text == "" or text not in repr(caught.value)
    with sqlite3.connect(vault._path) as file:
        assert (0,) == file.execute("SELECT count(*) FROM cards").fetchone()
    file.close()


def test_a_number_prints_masked() -> None:
    """In every form that a log line or a debugger would use."""
    number = CardNumber(PAN)
    for text in (str(number), repr(number), f"{number}", repr([number]), repr({"card": number})):
        assert "411111******1111" in text
        assert not looks_like_pan(text)
    with pytest.raises(TypeError, match="not to be pickled"):
        pickle.dumps(number)


def test_an_unknown_id_is_refused(vault: TokenVault) -> None:
    """Ids of other vaults are nobody here."""
    with pytest.raises(ValidationError, match="is not in this vault"):
        vault.reveal("card-0000-0000000000000000")


def test_an_entry_cannot_be_moved_to_another_id(vault: TokenVault, tmp_path: Path) -> None:
    """The number is sealed together with its id."""
    first, second = vault.tokens([PAN, AMEX])
    with sqlite3.connect(tmp_path / "vault.db") as file:
        (moved,) = file.execute("SELECT nonce, sealed FROM cards WHERE card_id = ?", (second.card_id,))
        file.execute(
            "UPDATE cards SET nonce = ?, sealed = ? WHERE card_id = ?",
            (*moved, first.card_id),
        )
    file.close()
    with pytest.raises(ValidationError, match="was changed, or another key"):
        vault.reveal(first.card_id)


def test_a_file_that_is_no_vault_is_refused(tmp_path: Path) -> None:
    """With one sentence."""
    (tmp_path / "vault.db").write_bytes(b"something else altogether" * 100)
    with pytest.raises(Refused, match="is not a token vault"):
        TokenVault(tmp_path / "vault.db", tmp_path / "keys")


def test_plain_numbers() -> None:
    """Blanks and dashes go."""
    assert PAN == plain_number("4111 1111-1111 1111")


# --- surrogates ---------------------------------------------------------------------------------------


def test_surrogates_are_functions_of_key_namespace_and_value() -> None:
    """The same for the same three; a boundary moved from one to the next gives another."""
    key = bytes(32)
    assert surrogate(key, "ab", "c") == surrogate(key, "ab", "c")
    others = {surrogate(key, "a", "bc"), surrogate(key, "ab", "d"), surrogate(bytes(31) + b"1", "ab", "c")}
    assert 3 == len(others - {surrogate(key, "ab", "c")})


def test_surrogate_cards_are_card_ids_all_over_the_slots() -> None:
    """So that imported cards spread over partitions as drawn ones do."""
    slots = {slot_of(surrogate_card(bytes(32), "household", str(number))) for number in range(4_000)}
    assert len(slots) > 950
