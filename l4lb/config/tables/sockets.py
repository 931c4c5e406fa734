"""Socket options of listeners and pools."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.units import duration
from l4lb.config.values import sockets

Value = int | str


class Keepalive(Model):
    """TCP keepalive: probes of a silent connection, which find dead peers and keep the state of
    firewalls. `true` uses the host's settings, and a bare duration is `idle`."""

    idle_ms: sockets.KeepaliveTime | None = Field(default=None, alias="idle")
    """Time that a connection is silent before the first probe. Absent: the host's setting."""
    interval_ms: sockets.KeepaliveTime | None = Field(default=None, alias="interval")
    """Time between two probes. Absent: the host's setting."""
    probes: sockets.KeepaliveProbes | None = None
    """Number of probes without an answer that end the connection. Absent: the host's setting."""


def _as_keepalive(value: object) -> object:
    if value is True:
        return {}
    if value is None or value is False:
        return None
    return value if isinstance(value, (dict, Keepalive)) else {"idle": value}


class Sockets(Model):
    """Socket options of a listener (and of the connections that it accepts), or of a pool's
    connections to its backends. Unix sockets do not get options that mean nothing to them."""

    interface: sockets.Interface | None = None
    """Network interface (or VRF) that packets arrive on and leave by. Absent: any."""
    mark: sockets.Mark | None = None
    """Firewall mark (SO_MARK) of the packets, for routing rules and firewalls. Needs CAP_NET_ADMIN
    or CAP_NET_RAW. Absent: none."""
    dscp: sockets.Dscp | None = None
    """Class of service (DSCP) of the packets: 0 to 63, or a name such as "ef", "cs1" or "af41".
    Absent: the host's setting."""
    keepalive: Annotated[
        Keepalive | None,
        BeforeValidator(_as_keepalive, json_schema_input_type=bool | str | Keepalive),
    ] = None
    user_timeout_ms: Annotated[int, *duration(bounds.USER_TIMEOUT_MS)] | None = Field(
        default=None, alias="user_timeout"
    )
    """How long sent data may stay unacknowledged before the connection ends (TCP_USER_TIMEOUT, RFC
    5482). Absent: the host's setting."""

    @property
    def options(self) -> dict[str, Value]:
        """The options that are set, by the names of native/egress.pyx."""
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
