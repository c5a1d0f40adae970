"""The user-data of an instance: a bash script of less than 16 KB that boots workers and always ends in a shutdown.

User-data can be read by whoever may describe the instance and by every process on it, so it holds no secret: it says where
certificate and bundle lie and which digests they have, and the instance's role is what opens them. Whatever ends the script,
success, failure or a signal, shuts the instance down; a shutdown scheduled at its start stands in for a script that was killed.
The launch template must set ``InstanceInitiatedShutdownBehavior`` to ``terminate``.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from protocol.errors import ConfigError

#: Of EC2, before it is encoded as base64.
MAX_BYTES = 16_384
#: Minutes after the end of an instance's life at which it ends whatever became of the script.
BACKSTOP_MINUTES = 10
_ADDRESS = re.compile(r"tls://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):\d{1,5}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_PYTHON = re.compile(r"3\.\d{1,2}\Z")

_SCRIPT = """\
#!/bin/bash
# Boots the workers of one instance and shuts it down when they are done.
set -uo pipefail
umask 022
why='user-data was ended'
leave() {
  trap '' EXIT TERM INT HUP
  echo "longtail: shutting down: $why"
  sync
  shutdown -h now
}
trap leave EXIT
trap 'exit 1' TERM INT HUP
shutdown -h +@BACKSTOP@ || echo 'longtail: no shutdown can be scheduled here'
ulimit -n "$(ulimit -Hn)"
root=/opt/longtail
python=python@PYTHON@
mkdir -p "$root/home" "$root/scratch" "$root/state"
cat > "$root/config.json" <<'longtail-end'
@CONFIG@
longtail-end
cat > "$root/bootstrap.py" <<'longtail-end'
@BOOTSTRAP@
longtail-end
interpreter() {
  command -v "$python" > /dev/null && return
  # Amazon Linux serves its packages from S3, which a gateway endpoint reaches without the internet.
  if command -v dnf > /dev/null; then
    timeout @BOOT@ dnf -q -y install "$python"
  else
    timeout @BOOT@ apt-get -q update && DEBIAN_FRONTEND=noninteractive timeout @BOOT@ apt-get -q -y install "$python"
  fi
  command -v "$python" > /dev/null
}
interpreter &
timeout @BOOT@ python3 "$root/bootstrap.py" "$root/config.json" "$root" ||
  { why='certificate or bundle could not be fetched'; exit 1; }
wait $! || { why="there is no $python and none can be installed"; exit 1; }
PYTHONPATH="$root/site" PYTHONNOUSERSITE=1 "$python" -P -m infra.ec2.supervisor "$root/config.json" "$root"
why="the supervisor ended with code $?"
"""


@dataclass(frozen=True, slots=True)
class Boot:
    """What an instance is told; none of it is a secret.

    Attributes
    ----------
    scheduler : str
        ``tls://HOST:PORT`` that the instances reach.
    endpoint, bucket, region : str
        Where S3 answers (URL without a path), and what to read there.
    objects, certificates : str
        Key prefixes with a slash at their end, see :class:`infra.ec2.layout.Layout`.
    manifest, ca_sha256 : str
        Digests of the bundle's manifest and of the run's authority.
    python : str
        Minor version of the interpreter.
    workers : int
        Worker processes on each instance, one evaluation at a time each; 0 for one per virtual CPU.
    lost_s, idle_s, lifetime_s : float
        When an instance ends itself, see :class:`infra.ec2.supervisor.Limits`.
    boot_s : int
        How long fetching and unpacking may take, and meanwhile the installation of an interpreter.
    dask : dict
        Settings of Dask on the workers beyond :data:`infra.dask_settings.FAR_CLUSTER`.
    """

    scheduler: str
    endpoint: str
    bucket: str
    region: str
    objects: str
    certificates: str
    manifest: str
    ca_sha256: str
    python: str
    workers: int = 1
    lost_s: float = 300.0
    idle_s: float = 1200.0
    lifetime_s: float = 86_400.0
    boot_s: int = 300
    dask: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, pattern in (
            ("scheduler", _ADDRESS),
            ("manifest", _SHA256),
            ("ca_sha256", _SHA256),
            ("python", _PYTHON),
        ):
            if not pattern.match(getattr(self, name)):
                raise ConfigError(
                    f"an instance's {name} cannot be {getattr(self, name)!r}; it must match {pattern.pattern}"
                )
        if self.workers < 0:
            raise ConfigError(
                f"an instance's workers cannot be {self.workers}; name how many, or 0 for one per virtual CPU"
            )
        for name in ("lost_s", "idle_s", "lifetime_s", "boot_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"an instance's {name} cannot be {value!r}; it must be above zero")


def render(boot: Boot) -> str:
    """Return the script of an instance.

    Raises
    ------
    ConfigError
        It is longer than EC2 takes.
    """
    values = {
        "CONFIG": json.dumps(dataclasses.asdict(boot), sort_keys=True),
        "BOOTSTRAP": resources.files("infra.ec2").joinpath("bootstrap.py").read_text(encoding="utf-8").rstrip("\n"),
        "BACKSTOP": str(math.ceil(boot.lifetime_s / 60) + BACKSTOP_MINUTES),
        "PYTHON": boot.python,
        "BOOT": str(boot.boot_s),
    }
    script = re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], _SCRIPT)
    if len(script.encode()) > MAX_BYTES:
        raise ConfigError(
            f"user-data is {len(script.encode())} bytes long, EC2 takes {MAX_BYTES}; shorten the Dask settings"
        )
    return script
