"""The table of providers by type of source; each is imported when it is used."""

from __future__ import annotations

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery.types import REAL_CLOCK, Clock, Provider


def provider(settings: Discovery, clock: Clock = REAL_CLOCK) -> Provider:
    """Returns the provider for these settings."""
    match settings.type:
        case "dns":
            from l4lb.discovery.dns import Dns

            return Dns(settings, clock)
        case "file":
            from l4lb.discovery.file import File

            return File(settings, clock)
        case "exec":
            from l4lb.discovery.exec import Exec

            return Exec(settings, clock)
        case "http":
            from l4lb.discovery.http import Http

            return Http(settings, clock)
        case "consul":
            from l4lb.discovery.consul import Consul

            return Consul(settings, clock)
        case "etcd":
            from l4lb.discovery.etcd import Etcd

            return Etcd(settings, clock)
