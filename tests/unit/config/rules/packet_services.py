"""Services with a listener that the kernel serves, for tests of their configuration."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.errors import ConfigError

UDP = {"protocol": "udp"}


def service(
    listener: dict[str, Any] | None = None,
    pool: dict[str, Any] | None = None,
    packet: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Returns a service whose one listener is served in the kernel."""
    return copy.deepcopy(
        {
            "process": {"packet": {"interfaces": ["eth0"], **(packet or {})}},
            "listeners": {
                "web": {
                    "bind": ["0.0.0.0:80"],
                    "data_path": "packet",
                    "pool": "web",
                    **(listener or {}),
                }
            },
            "pools": {"web": {"backends": ["10.0.0.1:80"], **(pool or {})}},
            **more,
        }
    )


def built(data: dict[str, Any]) -> Config:
    """Returns the configuration of this data, without a file."""
    return build(data, Origin())


def told(data: dict[str, Any]) -> str:
    """Returns what is told of data that is refused."""
    with pytest.raises(ConfigError) as caught:
        built(data)
    return str(caught.value)
