"""The metrics of a balancer, read as Prometheus reads them."""

from __future__ import annotations

import urllib.request

from prometheus_client import parser

from .balancer import Balancer


class Metrics:
    """The metrics of a balancer with `process.http`."""

    def __init__(self, lb: Balancer) -> None:
        assert lb.config is not None
        self._url = f"http://{lb.config['process']['http']}/metrics"

    def value(self, name: str, **labels: str) -> float | None:
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            text = answer.read().decode()
        for family in parser.text_string_to_metric_families(text):
            for one in family.samples:
                if one.name == name and one.labels == labels:
                    return float(one.value)
        return None
