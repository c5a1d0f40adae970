"""Salts of commitments, kept from before a commitment is made until its module is revealed, whatever happens between.

One small file per submission, under the ledger's and the miner's name; beside it a copy of the module as it was committed to,
so that it can be revealed even if the miner's own file has changed since.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.files import atomic_write
from infra.home import find_home
from protocol.errors import ConfigError
from protocol.ledger.commitments import commitment_of
from protocol.ledger.kinds import is_hash
from protocol.typed_data import Domain

SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Seal:
    """One submission's secret.

    Attributes
    ----------
    block_hash, topic, miner : str
    salt : str
        64 hex digits; whoever knows it and has the module can tell whose commitment it is.
    """

    block_hash: str
    topic: str
    miner: str
    salt: str

    @property
    def commitment(self) -> str:
        """What the ledger holds until the reveal."""
        return commitment_of(self.block_hash, self.miner, self.salt)


@dataclass(frozen=True, slots=True)
class Sealings:
    """The seals of one miner for one ledger.

    Attributes
    ----------
    folder : Path
    miner : str
        EIP-55 address.
    """

    folder: Path
    miner: str

    @classmethod
    def of(cls, domain: Domain, miner: str) -> Sealings:
        """Return those in this home."""
        return cls(find_home().submissions / domain.salt[:16] / miner, miner)

    def module(self, block_hash: str) -> Path:
        """Return where the copy of a module is."""
        return self.folder / f"{block_hash}.py"

    def find(self, block_hash: str) -> Seal | None:
        """Return the seal of a module, None if there is none.

        Raises
        ------
        ConfigError
            Its file is damaged.
        """
        path = self._path(block_hash)
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            seal = Seal(**raw)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{path} is damaged ({error}); restore it from a copy, or delete it and submit again"
            ) from error
        if not (seal.block_hash == block_hash and seal.miner == self.miner and is_hash(seal.salt)):
            raise ConfigError(
                f"{path} is damaged: it is not the seal of this module; restore it from a copy, or delete it"
            )
        return seal

    def all(self) -> list[Seal]:
        """Return every seal, by block hash."""
        found = (self.find(path.stem) for path in sorted(self.folder.glob("*.json")))
        return [seal for seal in found if seal is not None]

    def make(self, block_hash: str, source: bytes, topic: str) -> Seal:
        """Make and keep a fresh seal, replacing the one of an earlier commitment; it is on the disk when this returns.

        Raises
        ------
        ConfigError
            It cannot be written.
        """
        seal = Seal(block_hash, topic, self.miner, secrets.token_hex(SALT_BYTES))
        atomic_write(self.module(block_hash), source)
        atomic_write(self._path(block_hash), json.dumps(asdict(seal), indent=1).encode() + b"\n", mode=0o600)
        return seal

    def _path(self, block_hash: str) -> Path:
        return self.folder / f"{block_hash}.json"
