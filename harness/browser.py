"""A real browser for tests: headless Chromium (or Chrome), driven by its own driver.

`complaints` has the page's log and the refusals of its content security policy.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Self

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

DESKTOP = (1440, 1000)
PHONE = (390, 844)
WAIT_SECONDS = 20.0

_OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # builds run as root in containers
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--lang=en-GB",
)


class BrowserUnavailable(Exception):
    """This machine has no Chromium or no driver. The text names the cure."""


def find(*names: str) -> str:
    """The path of the first of these programs that is installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    raise BrowserUnavailable(f"no {names[0]}: on Debian `apt-get install chromium chromium-driver`")


class Browser:
    """A browser with one page. A context manager that ends it."""

    def __init__(self, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> None:
        options = Options()
        options.binary_location = find("chromium", "chromium-browser", "google-chrome")
        for option in (*_OPTIONS, f"--window-size={size[0]},{size[1]}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(find("chromedriver")))
        self.driver.set_page_load_timeout(WAIT_SECONDS)
        self.driver.set_script_timeout(WAIT_SECONDS)
        self.resize(size)
        self.prefer(dark=dark)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.quit()

    def resize(self, size: tuple[int, int]) -> None:
        """Look as on a screen of this size in CSS pixels."""
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.command("Emulation.setDeviceMetricsOverride", screen)

    def prefer(self, *, dark: bool) -> None:
        """Let the system prefer a theme."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, url: str) -> None:
        """Load a page again, also if only its fragment differs."""
        self.driver.get("about:blank")
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a function body in the page. Returns its result."""
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script: str, *arguments: Any) -> Any:
        """Run a function body in the page. Returns what it passes to its last argument."""
        return self.driver.execute_async_script(script, *arguments)

    def text(self, selector: str) -> str:
        """The text of the first element that matches, hidden or not. Empty if none matches."""
        found: str = self.run(
            "return document.querySelector(arguments[0])?.textContent?.trim() ?? ''", selector
        )
        return found

    def press(self, *keys: str) -> None:
        """Press keys one after the other, wherever the focus is."""
        chain = webdriver.ActionChains(self.driver)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def click(self, selector: str) -> None:
        """Click the first element that matches."""
        self.driver.find_element("css selector", selector).click()

    def complaints(self) -> list[str]:
        """The page's log since the last call, without the network's entries."""
        logged = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # Selenium's
        return [entry["message"] for entry in logged if entry["source"] != "network"]

    def shot(self, path: Path) -> None:
        """Write a screenshot as PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)
