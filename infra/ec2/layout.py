"""Where things lie in the bucket of an EC2 cluster, and what an instance's role may read of it.

``PREFIX/objects/SHA256``: archives and manifests, shared by all runs and never changed. ``PREFIX/bundles/``, ``PREFIX/parts/``:
pointers from the fingerprint of an environment, or of a part of it, to objects. ``PREFIX/runs/RUN/worker/``: what the instances
of one run read, which is authority, certificate and key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_RUN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_WORKER = re.compile(r"(i-[0-9a-f]+)(?:-\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Layout:
    """Keys in one bucket.

    Attributes
    ----------
    bucket : str
    prefix : str
        Without slashes at its ends; may be empty.
    """

    bucket: str
    prefix: str = "longtail"

    def key(self, *parts: str) -> str:
        """Return the key of an object below the prefix."""
        return "/".join(part for part in (self.prefix, *parts) if part)

    @property
    def objects(self) -> str:
        """Prefix of everything that is named by its digest, with a slash at its end."""
        return self.key("objects") + "/"

    def object(self, sha256: str) -> str:
        """Return the key of what has this digest."""
        return self.objects + sha256

    def bundle(self, fingerprint: str) -> str:
        """Return the key of the pointer from a version and its lock to a manifest."""
        return self.key("bundles", f"{fingerprint}.json")

    def worker(self, run: str) -> str:
        """Return the prefix of what the instances of a run read, with a slash at its end.

        Raises
        ------
        ValueError
            The run's name would lead elsewhere.
        """
        if not _RUN.match(run):
            raise ValueError(f"run {run!r} is no name of 1 to 63 lower-case letters, digits and dashes")
        return self.key("runs", run, "worker") + "/"

    def role_policy(self, run: str, partition: str = "aws") -> dict[str, Any]:
        """Return the IAM policy of the instances of a run: they read the bundle and their certificate, and nothing else.

        It allows no listing, no writing, no call to EC2. A role that many runs share takes ``*`` for the run's name.
        """
        worker = self.key("runs", "*", "worker") + "/" if run == "*" else self.worker(run)
        resources = [self.object("*"), f"{worker}*"]
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "s3:GetObject",
                    "Resource": [f"arn:{partition}:s3:::{self.bucket}/{key}" for key in resources],
                }
            ],
        }


def instance_of(worker: object) -> str | None:
    """Return the instance that a worker's name stands for: a name is the instance id, and ``-K`` where there are several."""
    match = _WORKER.match(str(worker))
    return match[1] if match else None
