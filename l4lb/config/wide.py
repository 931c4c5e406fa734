"""Wide ranges of ports: with `[process.packet]` a listener binds them as a whole, not port by port
(docs/packet.md, "Wide port ranges")."""

from __future__ import annotations

from dataclasses import replace

from l4lb.config import bounds
from l4lb.config.address import BindRange
from l4lb.config.model import Config, Listener


def is_wide(span: BindRange, transport: str, mptcp: object, data_path: object) -> bool:
    """Returns whether the range can be bound as a whole. why not UDP: an answer's source port is
    that of its socket. why not MPTCP: the kernel's map takes no such sockets. why not another data
    path: the kernel forwards by address and port."""
    fits = transport == "tcp" and mptcp is not True and data_path == "proxy"
    return fits and len(span) > bounds.NARROW_PORTS


def ranges(listener: Listener) -> list[BindRange]:
    """Returns the wide ranges of a listener."""
    how = listener.transport, listener.mptcp, listener.data_path
    return [span for span in listener.bind_ranges if is_wide(span, *how)]


def marked(config: Config, *, whole: bool) -> Config:
    """Returns the configuration with all its wide ranges bound as a whole, or port by port."""
    listeners = {name: _marked(one, whole=whole) for name, one in config.listeners.items()}
    return config.model_copy(update={"listeners": listeners})


def _marked(listener: Listener, *, whole: bool) -> Listener:
    wide = ranges(listener)
    if not wide:
        return listener
    spans = tuple(
        replace(span, is_whole=whole) if span in wide else span for span in listener.bind_ranges
    )
    return listener.model_copy(update={"bind_ranges": spans})
