"""The ledger in force and the keys of this home; and the local network that a newcomer starts with.

A local network is a ledger of one's own with one validator, `validator`, whose stake decides alone, one miner, `miner`, and
the account of a simulated fund, `fund`.
Its money is worth nothing, so its keys are convenient: random passwords lie beside their keystores, readable by their owner
only, and the work factor is small, since it adds nothing to a random password of 256 bits. Keys for a network with others are
made by `key new`, with a password of one's own and the usual work factor.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from infra.clock import Time, network_time
from infra.files import atomic_write
from infra.home import Home, find_home
from infra.keystore import PASSWORD_SUFFIX, SUFFIX, keystore_path, load_key, password_for, save_key, stored_key
from infra.lock import exclusive
from infra.settings import Settings
from infra.texts import find_texts
from protocol.addresses import checksum_address
from protocol.errors import ConfigError, RefusedError
from protocol.ethereum import web3_of
from protocol.keys import Key
from protocol.ledger.event import SignedEvent, registration_message, sign
from protocol.ledger.evm import EvmLedger
from protocol.ledger.evm_node import Node, Spending
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.ledger import Ledger, Receipt
from protocol.ledger.params import LTFT
from protocol.ledger.refusal import LedgerRefusal, NonceError
from protocol.ledger.sqlite import SqliteLedger
from protocol.ledger.values import Place, SignedValues

LOCAL = "local"
#: What the ledger of the settings may be.
OpenLedger: TypeAlias = SqliteLedger | EvmLedger
#: Of one question to a node of a chain.
NODE_TIMEOUT_S = 30.0
MINER, VALIDATOR, FUND = "miner", "validator", "fund"
#: What development chains use by convention; they make a block when there is something for it, so none comes on top.
LOCAL_CHAIN_ID = 31_337
#: Blocks on top of one, elsewhere: a HEAD that was made on records which the chain takes back later cannot be mended.
CONFIRMATIONS = 5
#: wei; what the fund has is what its pool opens with
POOL, STAKE, BALANCE, TOKENS = 1_000_000 * LTFT, 1_000 * LTFT, 1_000 * LTFT, 1_000_000 * LTFT
#: scrypt's n: opens in 2 ms instead of half a second.
LOCAL_WORK_FACTOR = 1_024
#: Of finding the next nonce while something else signs with the same key.
NONCE_TRIES = 100


def open_network(settings: Settings, clock: Time | None = None) -> OpenLedger:
    """Open the ledger of the settings, making the local network if it is that and not there yet.

    A ledger on a chain is the address of a node and, behind ``#``, of the contract; what was read of it is kept in the home.

    Parameters
    ----------
    settings : Settings
    clock : callable, optional
        Unix seconds; by default the network's time of the settings.

    Raises
    ------
    ConfigError
        There is no such file, it is no ledger of this version, the home cannot be written, or the clock not be read.
    DataError
        The ledger is damaged.
    """
    now = clock or network_time(settings)
    if settings.ledger == LOCAL:
        return ensure_local_network(find_home(), now)
    if settings.ledger.startswith(("http://", "https://")):
        return _on_chain(settings, now)
    return SqliteLedger.open(Path(settings.ledger).expanduser().absolute(), now)


def find_network(settings: Settings) -> OpenLedger | None:
    """Open the ledger of the settings; None if it is the local one and nobody has used it yet.

    Raises
    ------
    ConfigError, DataError
        As :func:`open_network`.
    """
    if settings.ledger == LOCAL and not find_home().ledger.exists():
        return None
    return open_network(settings)


def ensure_local_network(home: Home, clock: Time = time.time) -> SqliteLedger:
    """Open the local network of a home; the first call makes it, however many processes call at once or are killed.

    Raises
    ------
    ConfigError
        The home cannot be written.
    DataError
        The ledger is damaged.
    """
    if not home.ledger.exists():
        with exclusive(home.state / ".network.lock"):
            if not home.ledger.exists():
                _make_local(home, int(clock()))
    return SqliteLedger.open(home.ledger, clock)


def _on_chain(settings: Settings, clock: Time) -> EvmLedger:
    url, _, address = settings.ledger.partition("#")
    try:
        place = checksum_address(address)
    except RefusedError as error:
        raise ConfigError(
            f"ledger {settings.ledger}: {error}; write URL#ADDRESS, the address of the contract"
        ) from error
    spending = Spending(settings.chain_gas, settings.chain_fee_gwei)
    cache = find_home().state / f"chain-{place.lower()}.sqlite"
    node = Node(web3_of(url, NODE_TIMEOUT_S), spending=spending)
    confirmations = settings.chain_confirmations
    if confirmations < 0:
        confirmations = 0 if node.chain_id() == LOCAL_CHAIN_ID else CONFIRMATIONS
    return EvmLedger(
        node,
        place,
        cache=cache,
        confirmations=confirmations,
        clock=clock,
        texts=find_texts(settings.modules),
    )


def values_place(settings: Settings, ledger: Ledger) -> Place:
    """Return where the values of predictions go: as set, if the ledger is on a chain; else nowhere."""
    return settings.chain_values if isinstance(ledger, EvmLedger) else "none"


def send(ledger: Ledger, key: Key, kind: str, body: Mapping[str, Any], values: SignedValues | None = None) -> Receipt:
    """Sign an event with the key's next nonce and append it, whoever else signs with the key meanwhile.

    A ``stamp`` goes to a chain with `values`, if they are given.

    Called twice it sends twice: whether something has happened already is for the caller to see in the state. Two programs
    that send the same at the same moment send it once, and both get its receipt.

    Raises
    ------
    LedgerRefusal
        A rule refuses it; nothing has changed.
    ConfigError, DataError
        The ledger cannot be written or is damaged, or the key signs elsewhere without pause.
    """
    append: Callable[[SignedEvent], Receipt] = ledger.append
    if isinstance(ledger, EvmLedger):
        ledger.pay_with(key)
        append = partial(ledger.append, values=values)
    account = ledger.state().accounts.get(key.address)
    nonce = account.nonce if account else 0
    for _ in range(NONCE_TRIES):
        try:
            return append(sign(key, ledger.domain, kind, nonce, body))
        except NonceError as error:
            nonce = error.expected
    raise ConfigError(f"key {key.address} signs elsewhere without pause; use one key per program")


def register(ledger: Ledger, key: Key, name: str) -> None:
    """Open an account for a key; that another process was quicker is fine.

    Raises
    ------
    LedgerRefusal, ConfigError, DataError
        As :func:`send`.
    """
    message = registration_message(ledger.domain, key.address)
    body = {
        "name": name,
        "public_key": key.public_key,
        "cosmos_address": key.cosmos_address,
        "cosmos_signature": key.sign_cosmos(message),
    }
    try:
        send(ledger, key, "register", body)
    except LedgerRefusal as refusal:
        if refusal.code != "registered":
            raise


def account_name(name: str) -> str:
    """Return the name of an account for a keystore of that name."""
    kept = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in name.lower()).strip("-")
    return kept[:63] or MINER


def key_path(settings: Settings, role: str) -> Path:
    """Return the keystore in force for a role: the one of the settings, else the one of the role's name."""
    return keystore_path(settings.key or role)


def find_key(settings: Settings, role: str, *, ask: bool = True) -> Key:
    """Return the key in force for a role, `miner`, `validator` or `fund`.

    Parameters
    ----------
    settings : Settings
    role : str
        Name of the keystore if the settings name none.
    ask : bool
        Whether a terminal may be asked for the password.

    Raises
    ------
    ConfigError
        There is no such key, it cannot be opened, or there is no password for it.
    """
    path = key_path(settings, role)
    if not path.exists():
        raise ConfigError(f"no keystore {path}; make one with `key new`, or name one by the setting `key`")
    return load_key(path, password_for(path, settings.password_file, ask=ask))


def find_address(settings: Settings, role: str) -> str:
    """Return the address of the key in force for a role, without its password.

    Raises
    ------
    ConfigError
        There is no such key, or its keystore is damaged or does not tell its address.
    """
    stored = stored_key(key_path(settings, role))
    if not stored.address:
        raise ConfigError(
            stored.problem or f"keystore {stored.file} does not tell its address; open it with `key show`"
        )
    return stored.address


def _make_local(home: Home, now: int) -> None:
    """Make what is missing, the ledger last: it stands for the whole."""
    accounts = {name: local_key(home.keys / f"{name}{SUFFIX}") for name in (VALIDATOR, MINER, FUND)}
    if len(set(accounts.values())) < len(accounts):
        raise ConfigError(f"two of {', '.join(accounts)} in {home.keys} are the same key; remove one of the keystores")
    genesis = Genesis(
        chain_id=LOCAL_CHAIN_ID,
        name=LOCAL,
        time=now,
        pool=POOL,
        accounts=(
            GenesisAccount(address=accounts[VALIDATOR], name=VALIDATOR, stake=STAKE),
            GenesisAccount(address=accounts[MINER], name=MINER, balance=BALANCE),
            GenesisAccount(address=accounts[FUND], name=FUND, balance=TOKENS),
        ),
    )
    SqliteLedger.create(home.ledger, genesis).close()


def local_key(path: Path) -> str:
    """Return the address of a keystore, which is made with a random password beside it if it is not there.

    Raises
    ------
    ConfigError
        It cannot be written, or is there and does not tell its address.
    """
    if path.exists():
        stored = stored_key(path)
        if not stored.address:
            raise ConfigError(stored.problem or f"keystore {path} does not tell its address; move it elsewhere")
        return stored.address
    key, password = Key.create(), secrets.token_urlsafe(32)
    atomic_write(path.with_suffix(PASSWORD_SUFFIX), f"{password}\n".encode(), mode=0o600)
    save_key(path, key, password, iterations=LOCAL_WORK_FACTOR)
    return key.address
