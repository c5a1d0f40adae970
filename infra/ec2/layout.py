"""Where things lie in the bucket of an EC2 cluster, and what an instance's role may read of it.

``PREFIX/objects/SHA256``: archives and manifests, shared by all runs and never changed. ``PREFIX/bundles/``, ``PREFIX/parts/``:
pointers from the fingerprint of an environment, or of a part of it, to objects. ``PREFIX/runs/RUN/worker/``: what the instances
of one run read, which is authority, certificate and key. ``PREFIX/datasets/ROOT``: copies of local datasets.
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

    @property
    def datasets(self) -> str:
        """Address under which copies of datasets lie that instances could not read otherwise."""
        return f"s3://{self.bucket}/{self.key('datasets')}"

    def role_policy(self, run: str, data: str = "", partition: str = "aws") -> dict[str, Any]:
        """Return the IAM policy of the instances of a run: they read bundle, certificate and data, and nothing else.

        It allows no writing and no call to EC2. A role that many runs share takes ``*`` for the run's name.

        Parameters
        ----------
        run : str
        data : str
            Address ``s3://BUCKET/PATH`` of the dataset; anything else stands for the copies below :attr:`datasets`.
        partition : str
            Of AWS.
        """
        place, _, _ = (data if data.startswith("s3://") else self.datasets).partition("?")
        bucket, _, path = place.removeprefix("s3://").partition("/")
        worker = self.key("runs", "*", "worker") + "/" if run == "*" else self.worker(run)
        readable = [f"{self.bucket}/{self.object('*')}", f"{self.bucket}/{worker}*", f"{bucket}/{path.rstrip('/')}/*"]
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "s3:GetObject",
                    "Resource": [f"arn:{partition}:s3:::{key}" for key in readable],
                },
                # Without it S3 does not say that an object is absent, but that it is forbidden.
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:{partition}:s3:::{bucket}"},
            ],
        }


def instance_of(worker: object) -> str | None:
    """Return the instance that a worker's name stands for: a name is the instance id, and ``-K`` where there are several."""
    match = _WORKER.match(str(worker))
    return match[1] if match else None
