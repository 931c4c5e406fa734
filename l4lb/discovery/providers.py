"""Which provider follows which type of source; each is imported when it is used."""

from __future__ import annotations

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery.types import Provider


def provider(settings: Discovery) -> Provider:
    """The provider of these settings."""
    match settings.type:
        case "dns":
            from l4lb.discovery.dns import Dns

            return Dns(settings)
        case "file":
            from l4lb.discovery.file import File

            return File(settings)
        case "exec":
            from l4lb.discovery.exec import Exec

            return Exec(settings)
        case "http":
            from l4lb.discovery.http import Http

            return Http(settings)
        case "consul":
            from l4lb.discovery.consul import Consul

            return Consul(settings)
        case "etcd":
            from l4lb.discovery.etcd import Etcd

            return Etcd(settings)
