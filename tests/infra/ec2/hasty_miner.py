"""`ltminer` that starts instances also for half a minute: else a budget takes ten minutes to be used up."""

from __future__ import annotations

import infra.ec2.fleet
from miner.cli import main

infra.ec2.fleet.WORTH_S = 30.0
main()
