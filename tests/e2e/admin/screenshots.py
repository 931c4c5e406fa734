"""Screenshots of the dashboard for docs/: a service under load, one backend down, one drained."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ..harness import PORTS, Backends, Balancer, Load, held
from ..harness.browser import browser
from .test_dashboard import CHECKS, row, url

SECONDS = 45  # seconds of history in the screenshots


def main(folder: Path) -> None:
    """Writes dashboard.png and dashboard-phone.png into folder."""
    with Backends(4) as backends:
        pairs = zip(("app-1", "app-2", "app-3", "app-4"), backends.addresses, strict=True)
        lb = Balancer.before(
            [{"name": name, "address": address} for name, address in pairs],
            process={"http": f"127.0.0.1:{PORTS.take()}"},
            health=CHECKS,
        )
        with lb, held(lb, 12), Load(lb, threads=2, size=60_000):
            lb.admin("drain", "web/app-4")
            with browser(width=1280, height=1500) as wide, browser(dark=True) as phone:
                phone.execute_cdp_cmd(
                    "Emulation.setDeviceMetricsOverride",
                    {"width": 390, "height": 1400, "deviceScaleFactor": 2, "mobile": True},
                )
                for page in (wide, phone):
                    page.get(url(lb))
                time.sleep(SECONDS / 2)
                backends.stop("c")
                time.sleep(SECONDS / 2)
                assert "down" in row(wide, "app-3")
                wide.save_screenshot(str(folder / "dashboard.png"))
                phone.save_screenshot(str(folder / "dashboard-phone.png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
