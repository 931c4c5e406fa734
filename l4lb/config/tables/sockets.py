"""What listeners and pools say of their sockets."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from l4lb.config import socket_fields
from l4lb.config.tables.base import Model

Value = int | str


class Keepalive(Model):
    """TCP keepalive: probes of a connection that is silent, so that a dead peer is noticed and
    devices between remember it. `true` is as the host has it, a bare duration is `idle`."""

    idle_ms: socket_fields.KeepaliveTime | None = Field(default=None, alias="idle")
    """How long it is silent before the first probe; absent: as the host has it."""
    interval_ms: socket_fields.KeepaliveTime | None = Field(default=None, alias="interval")
    """How long between two probes; absent: as the host has it."""
    probes: socket_fields.KeepaliveProbes | None = None
    """How many without an answer end it; absent: as the host has it."""


def _as_keepalive(value: object) -> object:
    if value is True:
        return {}
    if value is None or value is False:
        return None
    return value if isinstance(value, (dict, Keepalive)) else {"idle": value}


class Sockets(Model):
    """Options of a listener's sockets (and of the connections they accept), or of a pool's towards
    its backends. What a unix socket has no use for, it does not get."""

    interface: socket_fields.Interface | None = None
    """The network interface (or VRF) that its packets come and go by; absent: any."""
    mark: socket_fields.Mark | None = None
    """The firewall mark (SO_MARK) of its packets, which rules of routing can tell apart. Needs
    CAP_NET_ADMIN or CAP_NET_RAW; absent: none."""
    dscp: socket_fields.Dscp | None = None
    """The class of service its packets are marked with: 0 to 63, or a name such as "ef", "cs1" or
    "af41"; absent: as the host has it."""
    keepalive: Annotated[
        Keepalive | None,
        BeforeValidator(_as_keepalive, json_schema_input_type=bool | str | Keepalive),
    ] = None
    user_timeout_ms: socket_fields.UserTimeout | None = Field(default=None, alias="user_timeout")
    """How long sent data may stay unacknowledged before the connection ends (TCP_USER_TIMEOUT, RFC
    5482); absent: as the host has it."""

    @property
    def options(self) -> dict[str, Value]:
        """Those that are said, by the names of native/egress.pyx."""
        keepalive = self.keepalive or Keepalive()
        said = {
            "mark": self.mark,
            "dscp": self.dscp,
            "keepalive": 1 if self.keepalive else None,
            "keepalive_idle_s": _seconds(keepalive.idle_ms),
            "keepalive_interval_s": _seconds(keepalive.interval_ms),
            "keepalive_probes": keepalive.probes,
            "user_timeout_ms": self.user_timeout_ms,
            "interface": self.interface,
        }
        return {name: value for name, value in said.items() if value is not None}


def _seconds(ms: int | None) -> int | None:
    """Whole seconds, as the kernel counts; rounded up."""
    return None if ms is None else -(-ms // 1000)
