"""What the end-to-end tests are written with: the product, its backends and its clients."""

from .backends import Backends, Door
from .balancer import Balancer, kill_and_wait, stopped
from .bytestream import Manner, Stream, ended, finish, receive, reset, send, wait_until_delivered
from .configuration import one_pool, toml
from .deadline import PATIENCE_S, until
from .load import Load, echo, greet, held, names, read_line, turned_away
from .ports import PORTS
from .program import program, run

__all__ = [
    "PATIENCE_S",
    "PORTS",
    "Backends",
    "Balancer",
    "Door",
    "Load",
    "Manner",
    "Stream",
    "echo",
    "ended",
    "finish",
    "greet",
    "held",
    "kill_and_wait",
    "names",
    "one_pool",
    "program",
    "read_line",
    "receive",
    "reset",
    "run",
    "send",
    "stopped",
    "toml",
    "turned_away",
    "until",
    "wait_until_delivered",
]
