"""A whole network on this machine: two miners, three validators, a fund and its page over one ledger, on the bundled sample.

Every part is the program that users run, with a home of its own; they share the ledger, and a clock that the fund moves from
bar to bar of the sample. The ledger is a file, or with `--chain anvil` contracts on a chain of this machine (`devnet_chain`).
All that is known of the past is on disk: a second start goes on.

Its rules are lenient, so that minutes show what takes a real network months: see `TOPIC` and `PARAMS` below. What
is crowned here is not shown to be good.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click
from devnet_chain import Chain, contract_in, find_anvil, refuse_taken

from fund.charter import Charter, FeeTerms, PoolTerms
from fund.forecasters import FORECASTERS
from fund.store import Store
from fund.store_reader import Reader
from fund.units import WEI, cents
from infra.clock import read_time, write_time
from infra.home import HOME_VARIABLE, find_home
from infra.keystore import load_key, password_for
from infra.network import OpenLedger, local_key
from protocol.errors import ConfigError, LongtailError
from protocol.ledger.genesis import Genesis, GenesisAccount
from protocol.ledger.params import DAY_S, LTFT, Params
from protocol.ledger.sqlite import SqliteLedger
from protocol.topics import load_topic

MINERS, VALIDATORS = ("miner-1", "miner-2"), ("validator-1", "validator-2", "validator-3")
NAMES = (*VALIDATORS, *MINERS, "fund")
BEGIN = datetime(2002, 1, 2, tzinfo=UTC)
#: Trading days ahead, by topic; `screen` 1: they are open to whatever is valid and original.
TOPICS = {"devnet-20d": 20, "devnet-5d": 5}
TOPIC = """name = "{name}"
title = "20 large US names, {horizon} trading days ahead; an open topic for demonstrations"
type = "close-1d"
broker = "skfolio"
horizon = {horizon}
screen = 1.0
"""
#: Days pass in seconds while judging takes its time, so windows are long; a model is crowned unless its days speak against it.
PARAMS = Params(
    reveal_window_s=400 * DAY_S,
    report_window_s=400 * DAY_S,
    report_reveal_s=400 * DAY_S,
    submission_expiry_s=1_200 * DAY_S,
    max_age_s=1_500 * DAY_S,
    crown_log_e=0,
)
#: What each miner mines, one after the other, and in which space.
ROUNDS = {
    "miner-1": (("devnet-5d", "linear-light"), ("devnet-20d", "ridge"), ("devnet-5d", "linear")),
    "miner-2": (("devnet-20d", "linear-light"), ("devnet-5d", "trees"), ("devnet-20d", "linear")),
}
SEARCH = ("--evaluations", "24", "--population", "8", "--time-budget", "40s", "--workers", "1")
#: In the order of their ports; behind what validators sign is how they are.
SERVERS = ("page", "fund", *VALIDATORS, *(f"{name} health" for name in VALIDATORS), "gate", "anvil")
LOGS = 5_000_000  # bytes of a log that are kept from an earlier start
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Place:
    """Where everything is: one folder, one port per server from `port` on."""

    folder: Path
    port: int
    chained: bool = False

    @property
    def file(self) -> Path:
        """The ledger of all, unless it is on a chain."""
        return self.folder / "ledger.sqlite"

    @property
    def ledger(self) -> str:
        """The ledger of all, as settings name it."""
        return f"http://{self.address('gate')}#{contract_in(self.folder)}" if self.chained else str(self.file)

    @property
    def clock(self) -> Path:
        """The file that tells the network's time."""
        return self.folder / "clock"

    @property
    def store(self) -> Path:
        """The fund."""
        return self.home("fund") / "state" / "fund.sqlite"

    def home(self, name: str) -> Path:
        """Return the home of somebody."""
        return self.folder / name

    def key(self, name: str) -> Path:
        """Return the keystore of somebody."""
        return self.home(name) / "state" / "keys" / f"{name.partition('-')[0]}.json"

    def address(self, name: str, *, health: bool = False) -> str:
        """Return where a server answers: the page, the fund, what validators sign, how they are, the chain."""
        return f"127.0.0.1:{self.port + SERVERS.index(name) + (len(VALIDATORS) if health else 0)}"

    def environment(self, name: str) -> dict[str, str]:
        """Return the settings of a home."""
        ours = {
            HOME_VARIABLE: str(self.home(name)),
            "LONGTAIL_LEDGER": self.ledger,
            "LONGTAIL_MODULES": str(self.folder / "modules"),
            "LONGTAIL_CLOCK": str(self.clock),
            "LONGTAIL_FUND": f"http://{self.address('fund')}",
            "OMP_NUM_THREADS": "1",
        }
        return {**{key: value for key, value in os.environ.items() if not key.startswith("LONGTAIL_")}, **ours}


def prepare(place: Place) -> dict[str, str]:
    """Make clock, topics and keys where they are missing; return the addresses of the keys."""
    if place.store.exists() and place.chained == place.file.exists():
        raise ConfigError(
            f"the network in {place.folder} {'has a file' if place.chained else 'is on a chain'}: run it "
            f"{'without' if place.chained else 'with'} --chain anvil, or give another --folder"
        )
    if not place.clock.exists():
        write_time(place.clock, int(BEGIN.timestamp()))
    for name in NAMES:
        for topic, horizon in TOPICS.items():
            file = place.home(name) / "config" / "topics" / f"{topic}.toml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(TOPIC.format(name=topic, horizon=horizon))
    return {name: local_key(place.key(name)) for name in NAMES}


def begin(place: Place, keys: dict[str, str], chain: Chain | None) -> bool:
    """Make the ledger and, last, the fund without HEADs; return whether that was missing."""
    if place.store.exists():
        return False
    start = int(BEGIN.timestamp())
    accounts = [GenesisAccount(address=keys[name], name=name, stake=1_000 * LTFT) for name in VALIDATORS]
    accounts += [GenesisAccount(address=keys[name], name=name, balance=1_000 * LTFT) for name in MINERS]
    accounts.append(GenesisAccount(address=keys["fund"], name="fund", balance=1_000_000 * LTFT))
    genesis = Genesis(
        chain_id=31_337, name="devnet", time=start, pool=1_000_000 * LTFT, params=PARAMS, accounts=tuple(accounts)
    )
    if chain:
        chain.create(load_key(place.key("fund"), password_for(place.key("fund"), ask=False)), genesis)
    elif not place.file.exists():
        SqliteLedger.create(place.file, genesis).close()
    with chain.open() if chain else SqliteLedger.open(place.file) as ledger:
        topics = [load_topic(place.home("fund") / "config" / "topics" / f"{name}.toml") for name in TOPICS]
        charter = Charter(
            topics=tuple(topic.to_dict() for topic in topics),
            refit_days=28,
            simulated=True,
            pool=PoolTerms(),
            fees=FeeTerms(performance_days=1),
            forecasters=dict.fromkeys(FORECASTERS, keys["fund"]),
        )
        Store.create(place.store, ledger.domain.salt, charter.to_dict()).close()
    return True


@dataclass
class Crew:
    """The programs of the network: started, started again when they end, and all ended at the end."""

    place: Place
    stopping: threading.Event = field(default_factory=threading.Event)
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)

    def keep(self, label: str, home: str, *command: str) -> None:
        """Keep a program running in a thread of its own."""
        self.keep_running(label, lambda: self.run(label, home, *command))

    def keep_running(self, label: str, run: Callable[[], int]) -> None:
        """Keep in a thread of its own whatever a call runs to its end."""
        thread = threading.Thread(target=self._keep, args=(label, run), name=label)
        self.threads.append(thread)
        thread.start()

    def run(self, label: str, home: str, *command: str) -> int:
        """Run a program of ours to its end; return its exit code."""
        return self.execute(label, [sys.executable, "-P", "-m", *command], self.place.environment(home))

    def execute(self, label: str, command: list[str], environment: dict[str, str]) -> int:
        """Run a command to its end; return its exit code."""
        logs = self.place.folder / "logs"
        logs.mkdir(exist_ok=True)
        path = logs / f"{label}.log"
        if path.exists() and path.stat().st_size > LOGS:
            path.replace(path.with_suffix(".old"))
        with path.open("ab") as log:
            child = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches this program, which ends the others in its own order
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - a call into libc and nothing else
            )
            self.children[label] = child
            if self.stopping.is_set():
                child.terminate()
            return child.wait()

    def _keep(self, label: str, run: Callable[[], int]) -> None:
        while not self.stopping.is_set():
            code = run()
            if not self.stopping.is_set():
                say(f"{label} ended with exit code {code}, see logs/{label}.log; it is started again")
                self.stopping.wait(5)

    def stop(self) -> None:
        """End all programs: politely first."""
        self.stopping.set()
        for order in (signal.SIGTERM, signal.SIGKILL):
            for child in self.children.values():
                if child.poll() is None:
                    child.send_signal(order)
            deadline = time.monotonic() + 30
            for thread in self.threads:
                thread.join(max(0.0, deadline - time.monotonic()))


def mine(crew: Crew, place: Place, name: str) -> None:
    """Let a miner go through its rounds: search on what is known, submit the winner, and claim what was earned."""
    for number, (topic, space) in enumerate(ROUNDS[name], 1):
        folder = place.home(name) / "runs" / f"{number}-{topic}-{space}"
        done = folder / "submitted"
        if crew.stopping.is_set() or done.exists():
            continue
        if (folder / "journal.sqlite").exists():
            search = ["resume", str(folder), "--submit"]
        else:
            shutil.rmtree(folder, ignore_errors=True)
            data = f"sample?until={read_time(place.clock)}"
            options = ("--topic", topic, "--space", space, "--seed", str(number), "--data", data)
            search = [*options, *SEARCH, "--out", str(folder), "--submit"]
        say(f"{name} mines {topic} in {space}")
        if crew.run(name, name, "miner.cli", *search) == 0:
            done.touch()
    while not crew.stopping.wait(15):
        crew.run(name, name, "miner.cli", "claim")


def watch(crew: Crew, place: Place, chain: Chain | None) -> None:
    """Say how the network is doing, when there is something new."""
    said = ""
    with ExitStack() as opened:
        ledger = opened.enter_context(chain.open() if chain else SqliteLedger.open(place.file))
        fund = opened.enter_context(Reader.open(place.store))
        while not crew.stopping.wait(5):
            try:
                line = _standing(ledger, fund, place)
            except LongtailError as error:
                line = str(error)
            if line != said:
                said = line
                say(line)


def _standing(ledger: OpenLedger, fund: Reader, place: Place) -> str:
    state, day = ledger.state(), datetime.fromtimestamp(read_time(place.clock), UTC)
    status = [block.status for block in state.blocks.values()]
    heads = len(fund.entries())
    waiting = sum(1 for one in state.submissions.values() if one.status == "open")
    parts = [
        f"{day:%Y-%m-%d}",
        f"{heads} HEADs, {'last stamped ' + str(state.stamp.period) if state.stamp else 'none stamped'}",
        f"models: {status.count('crowned')} crowned, {status.count('screened')} screened, {waiting} being judged",
        f"{state.supply.minted // LTFT:,} LTFT minted",
    ]
    market = fund.market()
    if market:
        parts.append(f"buybacks {market.sums.rewarded / LTFT:,.0f} LTFT, treasury {cents(market.treasury) / 100:,.0f}")
        parts.append(f"price {market.pool.price / WEI:.4f}")
    return " · ".join(parts)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def interrupted(crew: Crew) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask for the end."""
    before = {
        number: signal.signal(number, lambda *_: crew.stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(text: str) -> None:
    """Say something to people."""
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {text}", err=True)


@click.command()
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Where all is kept; default: the home."
)
@click.option("--port", type=click.IntRange(1_024, 65_000), default=8610, show_default=True, help="Of the page.")
@click.option(
    "--pace", type=click.FloatRange(0, 60), default=0.5, show_default=True, help="Seconds a trading day takes."
)
@click.option("--chain", "chain_of", type=click.Choice(["anvil"]), help="Keep the ledger on a chain of this machine.")
@click.option("--seconds", type=click.IntRange(1), help="Stop after this long; default: Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON.")
def main(
    folder: Path | None, port: int, pace: float, chain_of: str | None, seconds: int | None, *, as_json: bool
) -> None:
    """Run two miners, three validators, a fund and its page on this machine until Ctrl-C; a second start goes on.

    The page's port is taken, and the seven after it; with a chain two more.
    """
    chained = chain_of is not None
    place = Place((folder or find_home().state / ("devnet-chain" if chained else "devnet")).absolute(), port, chained)
    crew = Crew(place)
    try:
        with interrupted(crew), ExitStack() as opened:
            place.folder.mkdir(parents=True, exist_ok=True)
            refuse_taken(port, len(SERVERS) if chained else SERVERS.index("gate"))
            keys = prepare(place)
            chain = opened.enter_context(chain_under(place, [*keys.values()])) if chained else None
            new = begin(place, keys, chain)
            say(
                f"{'a network begins' if new else 'the network goes on'} in {place.folder}; logs are in its folder logs"
            )
            say(
                "its rules are lenient, so that minutes show what takes months: what is crowned here is not shown to be good"
            )
            url = f"http://{place.address('page')}/"
            click.echo(json.dumps({"url": url, "ledger": place.ledger}) if as_json else url)
            opened.callback(crew.stop)
            launch(crew, place, chain, pace)
            crew.stopping.wait(seconds)
            say("stopping")
    except (LongtailError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(getattr(error, "exit_code", ConfigError.exit_code))


@contextmanager
def chain_under(place: Place, rich: list[str]) -> Iterator[Chain]:
    """Keep a chain running; it ends after everything that uses it."""
    program, base = find_anvil(), Crew(place)
    environment = {"HOME": str(place.folder)}  # anvil puts what does not fit into memory there
    with Chain(place.folder, place.port + SERVERS.index("gate"), lambda: read_time(place.clock), rich) as chain:
        base.keep_running("anvil", lambda: base.execute("anvil", chain.command(program), environment))
        try:
            yield chain
        finally:
            base.stop()


def launch(crew: Crew, place: Place, chain: Chain | None, pace: float) -> None:
    """Start everybody."""
    peers = [word for name in VALIDATORS for word in ("--peer", f"http://{place.address(name)}")]
    crew.keep(
        *("fund", "fund", "fund.cli", "run", "--simulate", "--from", f"{BEGIN:%Y-%m-%d}", "--pace", str(pace)),
        *("--listen", place.address("fund"), *peers),
    )
    for name in VALIDATORS:
        crew.keep(name, name, "validator.cli", "run", "--listen", place.address(name, health=True))
        crew.keep(f"{name}-signs", name, "fund.cli", "sign", "--listen", place.address(name))
    crew.keep("page", "fund", "fund.cli", "serve", "--port", str(place.port))
    others = [threading.Thread(target=mine, args=(crew, place, name), name=name) for name in MINERS]
    others.append(threading.Thread(target=watch, args=(crew, place, chain), name="watch"))
    crew.threads += others
    for thread in others:
        thread.start()


if __name__ == "__main__":
    main()
