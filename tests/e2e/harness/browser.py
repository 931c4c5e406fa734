"""A headless Chromium from Debian, controlled by selenium."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


@contextlib.contextmanager
def browser(
    *, width: int = 1280, height: int = 1600, dark: bool = False, flags: Sequence[str] = ()
) -> Iterator[Any]:
    """Yields a driver with a window of that size. `console` returns the messages of its console.
    flags: further ones of the command line."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("chromium is not installed (Debian: chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory(
        prefix="l4lb-chromium-", ignore_cleanup_errors=True
    ) as profile:
        for flag in (
            *FLAGS,
            *flags,
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            made.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            made.set_script_timeout(30)
            yield made
        finally:
            made.quit()


def console(driver: Any) -> list[str]:
    """Returns the warnings and errors that the page has caused since the last call."""
    found = [one for one in driver.get_log("browser") if one["level"] in ("WARNING", "SEVERE")]
    return [json.dumps(one["message"]) for one in found]
