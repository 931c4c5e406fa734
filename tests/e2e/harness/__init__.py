"""The harness of the end-to-end tests: the balancer, its backends and its clients."""

from .backends import Backends, Door
from .balancer import Balancer
from .bytestream import Manner, Stream, ended, finish, receive, reset, send, wait_until_delivered
from .configuration import one_pool, toml
from .deadline import PATIENCE_S, until
from .load import Load, echo, greet, held, names, read_line, turned_away
from .ports import PORTS
from .processes import has_ended, kill_and_wait, processes_of, send_signal, stopped
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
    "has_ended",
    "held",
    "kill_and_wait",
    "names",
    "one_pool",
    "processes_of",
    "program",
    "read_line",
    "receive",
    "reset",
    "run",
    "send",
    "send_signal",
    "stopped",
    "toml",
    "turned_away",
    "until",
    "wait_until_delivered",
]
