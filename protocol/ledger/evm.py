"""A ledger on an EVM chain: the contracts keep it, this reads their log through the state machine and brings them events."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

from protocol.addresses import checksum_address, keccak256
from protocol.errors import ConfigError, DataError, RefusedError
from protocol.keys import Key
from protocol.ledger.abi import as_called, decoded, encoded, selector, types_of
from protocol.ledger.artifacts import refusals
from protocol.ledger.calls import body_of, call_of, event_of, stamp_body
from protocol.ledger.digest import state_digest
from protocol.ledger.event import Record, SignedEvent, domain_of, genesis_record, record_at
from protocol.ledger.evm_cache import Cache, Look, Row
from protocol.ledger.evm_genesis import read_genesis
from protocol.ledger.evm_node import BlockHead, LogLine, Node, Reverted
from protocol.ledger.kinds import source_hash
from protocol.ledger.ledger import Damage, Receipt, Verification
from protocol.ledger.refusal import LedgerRefusal
from protocol.ledger.rules import advance, apply, initial_state
from protocol.ledger.state import State
from protocol.ledger.texts import CheckedTexts, Texts
from protocol.ledger.values import SignedValues
from protocol.typed_data import Domain

#: Functions by which a HEAD is stamped.
_STAMPS = ("stamp", "stampValues", "stampFeeds")
#: How often a node may be behind a block that it has told of, as one of several may, before the block counts as lost.
_SHORT = 25
_RECORDED = keccak256(b"Recorded(uint64,bytes32,address,uint256,bytes,bytes)").hex()


class EvmLedger:
    """The backend on a chain of :class:`protocol.ledger.ledger.Ledger`; see there for what it guarantees.

    Only blocks with `confirmations` blocks on top count, so that a record once returned stays; should the chain go another way
    deeper than that, what was read is forgotten down to where it parted and read again.

    Parameters
    ----------
    node : Node
    address : str
        Of the contract ``Ledger``, EIP-55.
    key : Key, optional
        Pays for transactions; without one the ledger is read-only.
    cache : Path, optional
        Where to keep what was read; in memory if None.
    confirmations : int
        Blocks that must be on top of one before it counts.
    clock : callable
        Unix seconds.
    texts : Texts, optional
        Where the texts of modules are put and found that are named by hash only. Without one all texts go into the chain.
    """

    def __init__(
        self,
        node: Node,
        address: str,
        *,
        key: Key | None = None,
        cache: Path | None = None,
        confirmations: int = 0,
        clock: Callable[[], float] = time.time,
        texts: Texts | None = None,
    ) -> None:
        self._node, self.address, self._key = node, address, key
        self._confirmations, self._clock, self._lock = confirmations, clock, RLock()
        self.genesis, self.genesis_line = read_genesis(node, address)
        self._first_block = self.genesis_line.block
        self.domain: Domain = domain_of(self.genesis, address)
        self._places = {name: self._address(name) for name in ("token", "registry", "heads")}
        self._cache = Cache(cache, self.domain.salt)
        self._texts = CheckedTexts(self._cache, texts)
        self._begin()
        self._sync()

    @property
    def path(self) -> str:
        """Where it is, for people: the contract's address."""
        return self.address

    def place(self, contract: str) -> str:
        """Return where a contract that was made with the ledger is, EIP-55."""
        return self.address if contract == "Ledger" else self._places[contract.lower()]

    def pay_with(self, key: Key) -> None:
        """Let a key pay for what is appended from now on."""
        self._key = key

    # ------------------------------------------------------------------------------------------------------------- reading

    def state(self, height: int | None = None) -> State:
        """Return the state at a height; see :meth:`protocol.ledger.ledger.Ledger.state`."""
        with self._lock:
            self._sync()
            if height is None or height == self._state.height:
                return self._state.copy()
            self._check_known(height)
            state = initial_state(self.genesis, self.address)
            for record in self._records[1 : height + 1]:
                apply(state, record, signatures=False)
            return state

    def now(self) -> State:
        """Return the state at the clock's time; see :meth:`protocol.ledger.ledger.Ledger.now`."""
        return advance(self.state(), int(self._clock()))

    def records(self, start: int = 0) -> Iterator[Record]:
        """Yield the records from height `start` on."""
        with self._lock:
            self._sync()
            found = self._records[max(start, 0) :]
        yield from found

    def record(self, height: int) -> Record:
        """Return one record.

        Raises
        ------
        DataError
            No record has this height.
        """
        with self._lock:
            self._sync()
            self._check_known(height)
            return self._records[height]

    def tip(self) -> Record:
        """Return the last record."""
        with self._lock:
            self._sync()
            return self._records[-1]

    def source(self, block_hash: str) -> str:
        """Return the text of a submitted module.

        Raises
        ------
        DataError
            No such module was revealed; :class:`protocol.ledger.texts.TextMissingError`: its text is not to be had.
        """
        with self._lock:
            self._sync()
            submission = self._state.submissions.get(block_hash)
            if submission is None:
                raise DataError(
                    f"ledger {self.address} has no module {block_hash}; see `ltminer status` for those it has"
                )
            text = self._records[submission.height].event.body.get("source")
            return self._texts.read(block_hash) if text is None else str(text)

    def clock_skew(self) -> int:
        """Return by how many seconds the last record is ahead of the clock; 0 if it is not."""
        return max(0, self.tip().time - int(self._clock()))

    def verify(self, expected_head: str | None = None) -> Verification:
        """Read everything from the chain anew and recompute it; see :meth:`protocol.ledger.ledger.Ledger.verify`."""
        with self._lock:
            missing = {self._state.head, expected_head or self.domain.salt}
            state = initial_state(self.genesis, self.address)
            missing.discard(state.head)
            try:
                for row in self._rows_of(self._first_block, self._trusted(self._node.block()).number):
                    record = record_at(state.height + 1, state.head, max(state.time, row.time), row.event)
                    missing.discard(apply(state, record, signatures=False).head)
                _check_none_gone(missing)
            except (DataError, LedgerRefusal) as error:
                return Verification(
                    state.height + 1, state.head, state_digest(state), Damage(state.height + 1, str(error))
                )
            return Verification(state.height + 1, state.head, state_digest(state))

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()

    def __enter__(self) -> EvmLedger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------------- writing

    def append(self, event: SignedEvent, values: SignedValues | None = None) -> Receipt:
        """Bring an event to the contracts, a ``stamp`` with its `values`; see :meth:`protocol.ledger.ledger.Ledger.append`.

        The state machine is asked first, so a refusal costs nothing. Sending the same event again, after whatever went wrong,
        records it once: its author's nonce is good once. Two stamps of one HEAD are the same event, whoever signed them.

        Raises
        ------
        ConfigError
            There is no key to pay with, it is not the author's where it must be, or it would cost more than allowed.
        ClusterError
            The node does not answer, or no block takes the transaction in time.
        """
        event.check()
        event = SignedEvent.from_json(event.text)
        with self._lock:
            self._sync()
            if (known := self._known(event)) is not None:
                return known
            self._rehearse(event)
            if self._key is None:
                raise ConfigError("this ledger is open for reading; give a key that pays for its transactions")
            if event.kind == "stamp" and self._key.address != event.author:
                raise ConfigError(f"a HEAD is stamped by whoever pays: sign the event with {self._key.address}")
            if event.kind == "stamp" and self._node.code(event.author):
                raise ConfigError(
                    f"{event.author} has code (EIP-7702), and a HEAD is taken from accounts without: end the delegation or pay "
                    "with another key"
                )
            direct = self._key.address == event.author
            aside = event.kind == "reveal" and self._texts.put(event.body["source"])
            call = values.call(event) if values else call_of(event, self.domain, signature=not direct, text=not aside)
            try:
                number = self._node.send(self._key, self.place(call.contract), encoded(*call))
            except Reverted as error:
                self._sync()
                if (known := self._known(event)) is not None:
                    return known  # somebody else brought it meanwhile
                raise self._refusal(error, event) from error
            return self._await(event, number)

    def _await(self, event: SignedEvent, number: int) -> Receipt:
        """Wait until the block counts, and return where the event is."""
        short = 0
        for _ in range(self._node.patience):
            newest = self._node.block().number
            short += newest < number
            if newest >= number + self._confirmations or short > _SHORT:
                break  # deep enough, or lost by the chain
            self._node.pause()
        self._sync()
        known = self._known(event)
        if known is None:
            raise DataError(
                f"{event.kind} {event.nonce} of {event.author} was in block {number} and is gone: send it again"
            )
        return Receipt(known.height, known.hash, new=True)

    def _known(self, event: SignedEvent) -> Receipt | None:
        """Return where an event is: an author's nonce names one event, whichever way it was brought."""
        record = self._by_nonce.get((event.author, event.nonce))
        if record is None or (record.event.kind, record.event.body) != (event.kind, self._as_told(event, record)):
            return None
        return Receipt(record.height, record.hash, new=False)

    def _as_told(self, event: SignedEvent, record: Record) -> Any:
        """Return the body of an event as its log gives it back: of a HEAD, whichever signatures were brought."""
        if event.kind == "reveal" and "source_hash" in record.event.body:
            told = {name: value for name, value in event.body.items() if name != "source"}
            return told | {"source_hash": source_hash(event.body["source"])}
        return {**record.event.body, "head": event.body["head"]} if event.kind == "stamp" else event.body

    def _rehearse(self, event: SignedEvent) -> None:
        state = self._state
        moment = max(state.time, int(self._clock()), self._node.block().time)
        event.check_signature(self.domain)
        with suppress(_Over), state.transaction():
            apply(state, record_at(state.height + 1, state.head, moment, event), signatures=False)
            raise _Over

    def _refusal(self, error: Reverted, event: SignedEvent) -> Exception:
        code = refusals().get(error.data[:10])
        if code is None:
            return RefusedError(
                f"the contract refuses {event.kind} by {event.author}: {error.data or 'no reason given'}"
            )
        return LedgerRefusal(code, f"the contract refuses {event.kind} by {event.author}: {code}")

    # ----------------------------------------------------------------------------------------------------------- the chain

    def _begin(self) -> None:
        self._state = initial_state(self.genesis, self.address)
        self._records: list[Record] = [genesis_record(self.genesis, self.address)]
        self._by_nonce: dict[tuple[str, int], Record] = {}
        self._block = ""  # hash of the block of the last record

    def _sync(self) -> None:
        """Read what is new; forget what is no longer so. Other processes may do the same with the same cache."""
        with self._lock:
            while True:
                seen = self._cache.look(max(1, self._state.height))
                top = next(iter(seen.rows), None)
                if self._block and (top is None or top.block_hash != self._block):
                    self._begin()  # somebody has forgotten it
                    continue
                self._take_all(row for row in seen.rows if row.height > self._state.height)
                newest = self._node.block()
                if not self._node.stands(seen.number, seen.digest, newest):
                    self._part(seen, newest)
                    continue
                trusted = newest if not self._confirmations else self._trusted(newest)
                if trusted.number <= seen.number:
                    return
                rows = list(self._rows_of(max(seen.number + 1, self._first_block), trusted.number))
                self._take_all(rows)
                if self._cache.add(rows, (trusted.number, trusted.hash), seen):
                    return

    def _take_all(self, rows: Iterable[Row]) -> None:
        try:
            for row in rows:
                self._take(row)
        except DataError:
            self._begin()  # what is half taken does not count
            raise

    def _part(self, seen: Look, newest: BlockHead) -> None:
        """Go back to the last block that is still in the chain."""
        standing = (number for number, digest in self._cache.blocks() if self._node.stands(number, digest, newest))
        last = min(next(standing, self._first_block - 1), newest.number)
        self._cache.forget(last, self._node.block(last).hash if last >= 0 else "", seen)
        self._begin()

    def _trusted(self, newest: BlockHead) -> BlockHead:
        return self._node.block(max(0, newest.number - self._confirmations))

    def _rows_of(self, first: int, last: int) -> Iterator[Row]:
        times: dict[int, int] = {}
        for line in self._node.logs(self.address, first, last, _RECORDED):
            if line.block not in times:
                times[line.block] = self._node.block(line.block).time
            event = self._event(line)
            yield Row(int.from_bytes(line.topics[1]), times[line.block], line.block, line.block_hash, event)

    def _event(self, line: LogLine) -> SignedEvent:
        nonce, data, signature = decoded(("uint256", "bytes", "bytes"), line.data)
        kind = line.topics[2].rstrip(b"\0").decode()
        body = body_of(kind, data)
        if kind == "stamp":
            body = self._stamped(line, body["head"])
        return event_of(kind, "0x" + line.topics[3][-20:].hex(), nonce, body, signature)

    def _stamped(self, line: LogLine, head: str) -> dict[str, Any]:
        """Return the body of a HEAD's event from the call that brought it."""
        data = self._node.input_of(line.transaction)
        function = next((one for one in _STAMPS if data[:4] == selector("Heads", one)), None)
        if function is None:
            raise DataError(f"HEAD {head} was brought by a call that is none of Heads; its text is not in the chain")
        told = stamp_body(function, as_called(types_of("Heads", function), data[4:]), self.domain)
        if hashlib.sha256(told["head"].encode()).hexdigest() != head:
            raise DataError(f"HEAD {head} was stamped with the fields and topics of another")
        return told

    def _take(self, row: Row) -> None:
        record = record_at(self._state.height + 1, self._state.head, max(self._state.time, row.time), row.event)
        try:
            _check_height(row, record)
            apply(self._state, record, signatures=False)
        except (DataError, LedgerRefusal) as error:
            raise DataError(
                f"ledger {self.address} is damaged at height {record.height}: {error}; are these the committed contracts?"
            ) from error
        self._records.append(record)
        self._by_nonce[record.event.author, record.event.nonce] = record
        self._block = row.block_hash

    def _address(self, name: str) -> str:
        return checksum_address("0x" + self._node.call(self.address, selector("Ledger", name))[-20:].hex())

    def _check_known(self, height: int) -> None:
        if not 0 <= height < len(self._records):
            raise DataError(f"ledger {self.address} has no record {height}; its last is {len(self._records) - 1}")


def _check_height(row: Row, record: Record) -> None:
    if row.height != record.height:
        raise DataError(f"the chain numbers it {row.height}")


def _check_none_gone(missing: set[str]) -> None:
    if missing:
        raise DataError(f"record {min(missing)}, seen before, is gone: the chain went another way")


class _Over(Exception):  # noqa: N818 - not an error: it undoes a rehearsal
    """A rehearsal went well."""
