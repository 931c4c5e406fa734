"""[pools.NAME.health] and [pools.NAME.passive]: what makes a backend up or down."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from l4lb.config import bounds, fields
from l4lb.config.tables.base import Model


class Health(Model):
    """Active checks of a pool's backends; without this table they are not checked: their health
    is unknown and they are used."""

    type: Literal["tcp", "http", "https", "tls", "udp", "dns", "exec"] = "tcp"
    """What is tried: tcp is a connection that is accepted."""
    interval_ms: fields.HealthInterval = Field(default=2 * bounds.SECOND_MS, alias="interval")
    """Between the starts of two checks of a backend."""
    timeout_ms: fields.HealthTimeout = Field(default=1 * bounds.SECOND_MS, alias="timeout")
    """A check that takes longer has failed. It may be longer than the interval: the next check
    then starts when this one ends."""
    rise: fields.Streak = 2
    """Checks passed in a row that make a backend up."""
    fall: fields.Streak = 3
    """Checks failed in a row that make a backend down."""
    jitter_percent: fields.Jitter = Field(default=10, alias="jitter")
    """How much of the interval is random, so that checks do not come all at once."""
    port: fields.Port | None = None
    """The port to check, instead of the backend's own."""
    address: fields.IpText | None = None
    """The IP address to check, instead of the backend's own."""


class Passive(Model):
    """What clients' own connections tell about a backend."""

    failures: fields.Failures = 5
    """Failures in a row that eject a backend."""
    eject_ms: fields.Eject = Field(default=10 * bounds.SECOND_MS, alias="eject")
    """How long, the first time; it doubles each time after."""
    max_eject_ms: fields.Eject = Field(default=5 * bounds.MINUTE_MS, alias="max_eject")
    """How long at most."""
    max_ejected_percent: fields.MaxEjected = Field(default=50, alias="max_ejected")
    """How much of the pool may be ejected at one time."""
