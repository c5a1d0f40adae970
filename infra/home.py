"""Where things are kept: one home for everything that is written.

``LONGTAIL_HOME`` when it is set, else the XDG directories of the user (``platformdirs``).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from protocol.errors import ConfigError

HOME_VARIABLE = "LONGTAIL_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """Folders of one user.

    Attributes
    ----------
    config : Path
        Settings and topic files; only read.
    state : Path
        Runs, their journals and artefacts.
    cache : Path
        What can be computed again; may be deleted at any time.
    """

    config: Path
    state: Path
    cache: Path

    @property
    def settings_file(self) -> Path:
        """The TOML file with the user's settings."""
        return self.config / "longtail.toml"

    @property
    def topics(self) -> Path:
        """The user's own topic files."""
        return self.config / "topics"

    @property
    def runs(self) -> Path:
        """One folder per mining run."""
        return self.state / "runs"

    @property
    def ledger(self) -> Path:
        """The local ledger."""
        return self.state / "ledger.sqlite"

    @property
    def fund(self) -> Path:
        """The fund: every HEAD period it went through."""
        return self.state / "fund.sqlite"

    @property
    def keys(self) -> Path:
        """V3 keystores."""
        return self.state / "keys"

    @property
    def verdicts(self) -> Path:
        """One file per verdict given here."""
        return self.state / "verdicts"

    @property
    def guards(self) -> Path:
        """What validators have signed, one file per key, so that none ever signs two different things."""
        return self.state / "guards"

    @property
    def submissions(self) -> Path:
        """What a miner must keep of its submissions until they are revealed."""
        return self.state / "submissions"


def find_home() -> Home:
    """Return the folders, creating none of them.

    Raises
    ------
    ConfigError
        ``LONGTAIL_HOME`` begins with a ``~`` that stands for nobody.
    """
    named = os.environ.get(HOME_VARIABLE)
    if named:
        try:
            base = Path(named).expanduser().absolute()
        except RuntimeError as error:
            raise ConfigError(f"{HOME_VARIABLE} = {named!r}: {error}; name a folder") from error
        return Home(config=base / "config", state=base / "state", cache=base / "cache")
    import platformdirs

    dirs = platformdirs.PlatformDirs("longtail", appauthor=False)
    return Home(Path(dirs.user_config_dir), Path(dirs.user_state_dir), Path(dirs.user_cache_dir))


def make_folder(path: Path, *, free_bytes: int = 0) -> Path:
    """Create `path` if need be and make sure that it can be written.

    Parameters
    ----------
    path : Path
        Folder to create, with its parents.
    free_bytes : int
        Space the caller is about to need there.

    Raises
    ------
    ConfigError
        The folder cannot be created or written, or the disk has too little space.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path).free
    except OSError as error:
        raise ConfigError(f"folder {path}: {error.strerror}; set {HOME_VARIABLE} or --out to a writable one") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"folder {path} is not writable; set {HOME_VARIABLE} or --out to a writable one")
    if free < free_bytes:
        raise ConfigError(
            f"folder {path}: {free / 1e6:.0f} MB free, {free_bytes / 1e6:.0f} MB needed; free some space or set {HOME_VARIABLE}"
        )
    return path
