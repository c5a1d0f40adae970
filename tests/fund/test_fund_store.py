"""The fund's file: whole steps only, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_steps
import pytest
from made_steps import CONFIG, FIRST, KEYS, LEDGER, first_steps, signature

from fund.journal import Marks, Valuation
from fund.market_events import Bought, Shared
from fund.step import Step, Texts
from fund.store import Store
from fund.store_reader import Entry, Reader
from protocol.errors import ConfigError, DataError, RefusedError
from protocol.head.claims import Claims
from protocol.head.quorum import HeadSignature
from protocol.ledger.commitments import canonical

COUNT = 8
MARK = "0x" + "6" * 130


@pytest.fixture(scope="module")
def made() -> list[Step]:
    return first_steps(COUNT + 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fund.sqlite"


@pytest.fixture
def store(path: Path, made: list[Step]) -> Iterator[Store]:
    """A fund with all made steps but the last."""
    with Store.create(path, LEDGER, CONFIG) as opened:
        for step in made[:COUNT]:
            assert opened.commit(step)
        yield opened


def test_what_a_step_changed_is_read_back_by_period(store: Store, made: list[Step]) -> None:
    for step in made[:COUNT]:
        period = step.period
        assert store.head(period) == step.head
        assert store.predictions(period) == step.predictions
        assert store.signatures(period) == step.signatures
        assert store.earnings(period) == step.earnings
        assert store.claims(period) == store.claims(period + 1) == step.claims
        assert store.market(period) == step.market
        assert store.records(period) == {book: records for book, records in step.journal.items() if records}
        assert store.events(period, period) == tuple((period, one) for one in step.events)
        assert store.documents("alerts", period, period) == tuple((period, one) for one in step.documents.values())
    assert store.claims(FIRST - 1) == Claims()
    assert store.claims() == made[COUNT - 1].claims
    assert store.market() == made[COUNT - 1].market


def test_journals_are_one_sequence_by_book_and_by_class(store: Store, made: list[Step]) -> None:
    everything = [record for step in made[:COUNT] for record in step.journal["us"]]
    assert list(store.journal("us")) == list(enumerate(everything, 1))
    values = [(n, one) for n, one in enumerate(everything, 1) if isinstance(one, Valuation)]
    assert list(store.journal("us", Valuation)) == values
    assert list(store.journal("us", Valuation, after=values[2][0])) == values[3:]
    assert len(list(store.journal("crypto"))) == COUNT // 2
    assert list(store.journal("gold")) == []


def test_pages_of_a_journal_join(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(store.journal("us"))
    for size in (1, 2, len(whole)):
        monkeypatch.setattr("fund.store_reader.PAGE", size)
        assert list(store.journal("us")) == whole


def test_lists_and_ranges(store: Store, made: list[Step]) -> None:
    entries = store.entries()
    assert [(one.period, one.carried, one.hash) for one in entries] == [
        (step.period, step.carried, step.head.hash) for step in made[:COUNT]
    ]
    assert store.entries(FIRST + 1, FIRST + 4) == entries[1:3]
    assert (store.first(), store.latest()) == (FIRST, entries[-1])
    happened = [(step.period, one) for step in made[:COUNT] for one in step.events]
    assert list(store.events()) == happened
    assert {Shared, Bought} <= {type(one) for _, one in happened}
    assert [period for period, _ in store.documents("alerts")] == [FIRST, FIRST + 8]
    assert store.documents("nothing") == ()
    assert (store.ledger, store.config) == (LEDGER, CONFIG)


def test_only_the_newest_memory_is_kept(store: Store, made: list[Step]) -> None:
    assert store.memory() == {**made[COUNT - 2].memory, **made[COUNT - 1].memory}
    store.commit(made[COUNT])
    assert store.memory() == {**made[COUNT - 1].memory, **made[COUNT].memory}


def test_what_is_said_again_is_kept_once(store: Store) -> None:
    rows = store._db.execute("SELECT count(*) FROM predictions").fetchone()[0]
    assert rows == len({store.head(one.period).predictions_root for one in store.entries()}) < COUNT


def test_a_fund_without_steps(path: Path) -> None:
    with Store.create(path, LEDGER, {}) as store:
        assert (store.first(), store.latest(), store.market(), store.entries(), store.memory()) == (
            None,
            None,
            None,
            (),
            {},
        )
        assert store.verify() == 0
        with pytest.raises(DataError, match=r"no step of period 7; see `ltfund head`"):
            store.head(7)


def test_a_step_of_nothing_but_a_head(path: Path, made: list[Step]) -> None:
    bare = Step(
        replace(made[0].head, reward_total=0, reward_accounts=0, rewards_root=Claims().root),
        Claims(),
        0,
        made[0].predictions,
    )
    with Store.create(path, LEDGER, {}) as store:
        assert store.commit(bare)
        assert store.market() is None
        assert (store.earnings(FIRST), store.signatures(FIRST), store.records(FIRST)) == ((), (), {})
        assert store.verify() == 1


def test_a_step_is_committed_once(store: Store, made: list[Step]) -> None:
    before = store.entries(), list(store.journal("us")), store.memory()
    for step in made[:COUNT]:
        assert not store.commit(step)
    assert (store.entries(), list(store.journal("us")), store.memory()) == before
    assert store.commit(made[COUNT])


def test_another_step_of_a_period_is_refused(store: Store, made: list[Step]) -> None:
    for other in (
        replace(made[2], documents={"alerts": []}),
        replace(made[2], memory={}),
        replace(made[2], carried=0),
        replace(made[2], journal={}),
        replace(made[2], events=()),
        replace(made[2], earnings=()),
        replace(made[2], market=None),
    ):
        with pytest.raises(RefusedError, match="another step of period"):
            store.commit(other)


def test_steps_come_in_order(path: Path, made: list[Step]) -> None:
    with Store.create(path, LEDGER, {}) as store:
        store.commit(made[1])
        with pytest.raises(RefusedError, match=f"at period {FIRST + 2}; period {FIRST} is past"):
            store.commit(made[0])
        with pytest.raises(RefusedError, match="2 periods cannot be carried"):
            store.commit(replace(made[2], carried=2))
        assert store.verify() == 1


def test_equal_histories_have_equal_digests_and_others_have_not(tmp_path: Path, made: list[Step]) -> None:
    last: list[Entry] = []
    for n, history in enumerate((made[:3], made[:3], made[1:3], [replace(made[0], documents={}), *made[1:3]])):
        with Store.create(tmp_path / f"{n}", LEDGER, {"n": n}) as store:
            for step in history:
                store.commit(step)
            latest = store.latest()
            assert latest is not None
            last.append(latest)
    assert last[0] == last[1]
    assert len({one.digest for one in last}) == 3


def test_signatures_join_a_step_later(store: Store, made: list[Step]) -> None:
    step, digest = made[3], store.latest()
    late = [signature(step, 1), signature(step, 2)]
    other = replace(late[0], head="77" * 32)  # its validator signed two HEADs: both are kept
    assert store.sign([*late, other, late[0]]) == 3
    assert store.sign(late) == 0
    found = store.signatures(step.period)
    assert set(found) == {*step.signatures, *late, other}
    assert [one.validator for one in found] == sorted(one.validator for one in found)
    assert store.latest() == digest
    assert not store.commit(replace(step, signatures=(signature(step, 0),)))
    with pytest.raises(RefusedError, match="has no step"):
        store.sign([late[0], replace(late[0], period=FIRST + 1)])
    assert len(store.signatures(made[4].period)) == 1
    assert not store.commit(replace(made[4], signatures=(signature(made[4], 1),)))
    assert len(store.signatures(made[4].period)) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"predictions": ()}, "other predictions"),
        ({"claims": Claims()}, "other earnings"),
        ({"carried": -1}, "carried periods"),
        ({"signatures": (HeadSignature(7, "00" * 32, KEYS[0].address, "0x" + "0" * 130),)}, "signed period 7"),
        ({"journal": {"a b": ()}}, "no name"),
        ({"memory": {"": b""}}, "no name"),
        ({"documents": {"x": {1, 2}}}, "no plain JSON"),
        ({"documents": {"x": float("nan")}}, "no plain JSON"),
    ],
)
def test_parts_that_do_not_fit_make_no_step(made: list[Step], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        replace(made[0], **changes)


def test_a_market_of_another_period_makes_no_step(made: list[Step]) -> None:
    with pytest.raises(RefusedError, match="advance it first"):
        replace(made[1], market=made[0].market)


def test_one_writes_and_many_read(store: Store, path: Path, made: list[Step]) -> None:
    with pytest.raises(ConfigError, match=r"in use by another `ltfund`; stop it, or only read"):
        Store.open(path)
    with Reader.open(path, LEDGER) as reader:
        assert reader.latest() == store.latest()
        with reader.unchanging():
            before = reader.latest()
            store.commit(made[COUNT])
            assert reader.latest() == before
            assert reader.claims() == made[COUNT - 1].claims
            assert reader.verify() == COUNT
        assert reader.latest() == store.latest() != before
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._db.execute("INSERT INTO fund VALUES ('a', 'b')")
    store.close()
    Store.open(path).close()


def test_threads_share_a_reader(store: Store, path: Path, made: list[Step]) -> None:
    wrong: list[object] = []
    with Reader.open(path) as reader:

        def look() -> None:
            for _ in range(30):
                with reader.unchanging():
                    latest = reader.latest()
                    if latest is None or reader.claims().total != reader.head(latest.period).reward_total:
                        wrong.append(latest)

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        store.commit(made[COUNT])
        for thread in threads:
            thread.join()
    assert not wrong


class Faulty:
    """A connection that fails at the n-th statement, before or after it has done its work."""

    def __init__(self, db: Any, fail_at: int, *, after: bool) -> None:
        self.db, self.left, self.after = db, fail_at, after

    @property
    def in_transaction(self) -> bool:
        return bool(self.db.in_transaction)

    def execute(self, *arguments: Any) -> Any:
        return self._run(self.db.execute, arguments)

    def executemany(self, *arguments: Any) -> Any:
        return self._run(self.db.executemany, arguments)

    def _run(self, run: Any, arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise KeyboardInterrupt
        done = run(*arguments)
        if self.left == 0:
            raise KeyboardInterrupt
        return done


@pytest.mark.parametrize("after", [False, True])
def test_an_interruption_at_any_statement_leaves_whole_steps(store: Store, made: list[Step], after: bool) -> None:
    db, before, interrupted = store._db, store.latest(), 0
    for number in range(1, 100):
        store._db = Faulty(db, number, after=after)  # type: ignore[assignment]  # stands in for the connection
        try:
            store.commit(made[COUNT])
        except KeyboardInterrupt:
            interrupted += 1
            store._db = db
            assert not db.in_transaction
            if store.latest() != before:  # interrupted after the COMMIT: it is all there
                assert after
                assert store.verify() == COUNT + 1
                break
            assert store.verify() == COUNT
        else:
            store._db = db
            assert not after
            break
    assert interrupted > 10
    assert not store.commit(made[COUNT])
    assert store.verify() == COUNT + 1


def test_killed_at_any_moment_it_goes_on_as_if_it_had_not_been(path: Path, tmp_path: Path) -> None:
    chance = random.Random(5)
    Store.create(path, LEDGER, CONFIG).close()
    for _ in range(4):
        command = [sys.executable, made_steps.__file__, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said = [child.stdout.readline() for _ in range(chance.randint(1, 12))]
            time.sleep(chance.random() / 50)
            child.kill()
            said += child.stdout.readlines()
        told = int(said[-1] if said[-1].endswith("\n") else said[-2])
        with Store.open(path) as store:
            steps = store.verify()
            latest = store.latest()
            assert latest is not None
            assert steps == (latest.period - FIRST) // 2 + 1
            assert latest.period in {told, told + 2}, "the last step that was reported, or the one after it"
    with Store.create(tmp_path / "uninterrupted", LEDGER, CONFIG) as other:
        for step in made_steps.steps(steps):
            other.commit(step)
        assert other.latest() == latest


def test_a_full_disk_loses_nothing(store: Store, made: list[Step]) -> None:
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")
    big = replace(made[COUNT], memory={"big": random.Random(1).randbytes(10**6)})
    with pytest.raises(ConfigError, match="the disk is full: free some space"):
        store.commit(big)
    assert store.verify() == COUNT
    store._db.execute("PRAGMA max_page_count=100000")
    assert store.commit(big)


def test_a_locked_file_says_who_to_look_for(store: Store, path: Path, made: list[Step]) -> None:
    store._db.execute("PRAGMA busy_timeout=1")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(ConfigError, match="another process"):
            store.commit(made[COUNT])
        assert store.latest() is not None, "reading goes on"
        db.execute("ROLLBACK")
    assert store.commit(made[COUNT])


def test_a_fund_is_never_written_over(store: Store, path: Path) -> None:
    with pytest.raises(ConfigError, match="is in the way"):
        Store.create(path, LEDGER, {})
    assert store.verify() == COUNT
    assert not [one for one in path.parent.iterdir() if one.name.startswith(".")]


def test_what_is_no_fund_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no fund"):
        Reader.open(path)
    assert not path.exists()
    path.touch()
    with pytest.raises(ConfigError, match="no fund of longtail"):
        Reader.open(path)
    path.write_bytes(b"not a database at all " * 100)
    with pytest.raises(DataError, match=r"damaged.*copy"):
        Reader.open(path)
    with pytest.raises(ConfigError, match="choose another folder"):
        Store.create(path / "fund.sqlite", LEDGER, {})


def test_a_fund_of_another_version_or_ledger_is_left_alone(store: Store, path: Path) -> None:
    store.close()
    with pytest.raises(ConfigError, match=f"belongs to ledger {LEDGER}, not to {'00' * 32}"):
        Store.open(path, "00" * 32)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=9")
    with pytest.raises(ConfigError, match="format 9, this version reads 2"):
        Reader.open(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version=2")
    with Store.open(path, LEDGER) as again:
        assert again.verify() == COUNT


@pytest.mark.parametrize("kind", [Store, Reader])
def test_a_fund_of_the_first_format_goes_on(store: Store, path: Path, made: list[Step], kind: type[Reader]) -> None:
    before = [store.signatures(one.period) for one in made[:COUNT]]
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE value_signatures")
        db.execute("PRAGMA user_version=1")
    with kind.open(path, LEDGER) as again:
        assert [again.signatures(one.period) for one in made[:COUNT]] == before
    with Store.open(path) as last, Reader.open(path) as other:
        last.sign([replace(made[0].signatures[0], values=MARK)])
        assert other.signatures(FIRST)[0].values == MARK
        with pytest.raises(sqlite3.IntegrityError, match="never changed or removed"):
            last._db.execute("DELETE FROM value_signatures")
        assert last.verify() == COUNT


def test_signatures_of_values_may_come_later_and_the_first_one_stays(store: Store, made: list[Step]) -> None:
    step, late = made[3], signature(made[3], 1)
    (early,) = step.signatures
    assert store.sign([replace(early, values=MARK), late]) == 1
    assert store.sign([replace(early, values="0x" + "7" * 130), replace(late, values=MARK), late]) == 0
    assert set(store.signatures(step.period)) == {replace(one, values=MARK) for one in (early, late)}
    assert set(store.signatures_from(step.period, 2)) == set(store.signatures(step.period))


@pytest.mark.parametrize(
    "table", ["steps", "predictions", "signatures", "value_signatures", "totals", "journal", "documents"]
)
def test_the_file_itself_refuses_change(store: Store, made: list[Step], table: str) -> None:
    store.sign([replace(made[0].signatures[0], values=MARK)])
    column = {"predictions": "root", "documents": "name"}.get(table, "period")
    for statement in ("UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"):
        with pytest.raises(sqlite3.IntegrityError, match="never changed or removed"):
            store._db.execute(statement.format(table, column))


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM steps WHERE period = FIRST + 4", f"period {FIRST + 6}: its digest"),
        ("UPDATE steps SET head = replace(head, 'us-daily', 'eu-daily')", f"HEAD of period {FIRST}"),
        ("UPDATE steps SET carried = 1 WHERE period = FIRST", "its digest"),
        ("UPDATE steps SET earnings = X'00'", f"earnings of period {FIRST}"),
        ("""UPDATE steps SET market = replace(market, '"treasury":', '"treasury":1')""", "budget and treasury"),
        ("UPDATE steps SET market = NULL WHERE period = FIRST", "its digest"),
        ("UPDATE steps SET events = '[7]' WHERE period = FIRST", "no known class"),
        ("UPDATE steps SET memory = '{}' WHERE period = FIRST", "its digest"),
        ("UPDATE predictions SET content = X'789C'", f"predictions of period {FIRST}"),
        ("DELETE FROM predictions", f"predictions of period {FIRST}"),
        ("UPDATE totals SET total = total || '0'", "is not what its HEAD stands for"),
        ("UPDATE totals SET total = 'much'", "earned in all"),
        ("""UPDATE journal SET record = replace(record, '"nyse', '"nys') WHERE seq = 2""", "its digest"),
        ("UPDATE journal SET record = '{' WHERE seq = 5", "journal of period"),
        ("UPDATE journal SET record = CAST(X'FF7B7D' AS TEXT) WHERE seq = 2", "journal of period"),
        ("DELETE FROM journal WHERE seq = 5", "its digest"),
        ("DELETE FROM documents", "its digest"),
        ("UPDATE signatures SET signature = 'x'", "signatures of period"),
        ("UPDATE memory SET content = X'00'", "the memory"),
        ("DELETE FROM memory", "the memory"),
    ],
)
def test_damage_is_found_and_named(store: Store, path: Path, statement: str, said: str) -> None:
    store.close()
    with closing(sqlite3.connect(path)) as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute(statement.replace("FIRST", str(FIRST)))
        db.commit()
    with Reader.open(path) as reader, pytest.raises(DataError, match=f"(?s)damaged: .*{said}.*restore"):
        reader.verify()


def test_a_torn_file_is_damaged_and_nothing_else(store: Store, path: Path) -> None:
    store.close()
    whole = path.read_bytes()
    for size in (len(whole) // 3, len(whole) - 4096 * 3):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"damaged.*copy"), Reader.open(path) as reader:
            reader.verify()


def test_texts_of_equal_steps_are_equal_and_the_digest_is_over_all_of_them(made: list[Step]) -> None:
    texts = Texts.of(made[2])
    assert texts == Texts.of(first_steps(3)[2])
    whole = {name: getattr(texts, name) for name in Texts.__slots__} | {"previous": "00" * 32}
    assert set(whole) == {
        "head",
        "carried",
        "earnings",
        "market",
        "events",
        "journal",
        "documents",
        "memory",
        "previous",
    }
    assert hashlib.sha256(canonical(whole).encode()).hexdigest() == texts.digest("00" * 32)
    assert isinstance(made[2].journal["us"][0], Marks)
