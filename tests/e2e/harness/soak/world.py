"""What the worlds of all soaks have in common: a folder, an authority, and a balancer whose first
configuration can be varied.

with World.made() as world: world.write(world.varied(rng)); world.lb.admin("reload")
"""

from __future__ import annotations

import contextlib
import copy
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from ..balancer import Balancer
from ..configuration import Config, toml
from ..deadline import SLOWNESS
from ..ports import PORTS
from ..secure import Authority

# Sources of hostile clients. Honest clients have others, so that limits by source do not affect
# them.
FOES = ("127.0.0.66", "127.0.0.67", "192.0.2.9")
BALANCES = ("round_robin", "least_connections", "maglev", "random", "ip_hash")
CHECKS = {"type": "tcp", "interval": "500ms", "timeout": "10s", "fall": 3, "rise": 1}
DRAIN_S = int(120 * SLOWNESS)


class SoakWorld:
    """The common part of worlds. lb: the running balancer. base: its first configuration. extra: a
    port that its listener `plain` may have too."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        """stack: ends it all."""
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="l4lb-chaos-")))
        self.folder.chmod(0o755)
        self.access_log = self.folder / "access.log"
        self.authority = stack.enter_context(Authority())
        self.extra = stack.enter_context(PORTS.taken())
        process = {
            "workers": 2,
            "drain_timeout": f"{DRAIN_S}s",
            "log": {"access": str(self.access_log)},
        }
        self.base: Config = {"process": process, **self._services(stack)}
        self.lb = stack.enter_context(Balancer(copy.deepcopy(self.base)))
        self.base["process"]["admin"] = self.lb.socket

    @classmethod
    @contextlib.contextmanager
    def made(cls) -> Iterator[Self]:
        """Yields a world until the end of the block."""
        with contextlib.ExitStack() as stack:
            yield cls(stack)

    def _services(self, stack: contextlib.ExitStack) -> Config:
        """Starts the servers, which the stack ends. Returns the tables of the configuration with
        the listeners and the pools."""
        raise NotImplementedError

    def port(self, listener: str) -> int:
        """Returns the port of a listener."""
        return int(str(self.base["listeners"][listener]["bind"][0]).rpartition(":")[2])

    def varied(self, rng: random.Random) -> Config:
        """Returns another configuration: another number of workers, perhaps one more port, and what
        `_vary` changes."""
        config = copy.deepcopy(self.base)
        config["process"]["workers"] = rng.randint(1, 3)
        self._vary(config, rng)
        if rng.random() < 0.5:
            config["listeners"]["plain"]["bind"].append(f"127.0.0.1:{self.extra}")
        return config

    def _vary(self, config: Config, rng: random.Random) -> None:
        """Changes listeners and pools."""
        raise NotImplementedError

    def write(self, config: Config) -> None:
        """Writes a configuration to the balancer's file."""
        (self.lb.folder / "l4lb.toml").write_text(toml(config))
