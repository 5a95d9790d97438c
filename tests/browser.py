"""A headless Chromium that stays at home: nothing is downloaded, and what it says and asks for can be looked at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",  # containers give it 64 MB
    "--hide-scrollbars",
)
SECONDS = 30


class Browser:
    """A page, and what people do with it; nothing sleeps, everything is waited for."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Go there and wait for the first answer, or for the page's own word on why there is none."""
        self.driver.get(address)
        self.wait(lambda: self.idle() or self.all("#trouble:not([hidden])"), f"{address} to be loaded")

    def idle(self) -> bool:
        """Whether the page shows what was asked for last."""
        return bool(self.all('main[aria-busy="false"]'))

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """What `condition` gives as soon as it is true."""
        waiting = WebDriverWait(
            self.driver, SECONDS, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException]
        )
        return waiting.until(lambda _: condition(), what)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """The text of everything that the selector finds, at one moment."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)", selector)

    def command(self, name: str, **parameters: Any) -> None:
        """A command of the DevTools protocol."""
        self.driver.execute_cdp_cmd(name, parameters)

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """The size of the page itself, however small."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def prefer(self, **features: str) -> None:
        """What the system prefers: `prefers_color_scheme="dark"` and the like."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.command("Emulation.setEmulatedMedia", features=listed)

    def rest(self) -> None:
        """Take the pointer into a corner, where it points at nothing."""
        actions = ActionBuilder(self.driver)
        actions.pointer_action.move_to_location(0, 0)
        actions.perform()

    def complaints(self) -> list[str]:
        """What stands in the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def asked_hosts(self) -> set[str]:
        """The hosts that were asked for anything since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        addresses = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return {urlsplit(address).netloc for address in addresses if address.startswith("http")}


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, closed at the end."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The driver's path is given, so that selenium looks for none to download.
    driver = webdriver.Chrome(options, Driver(CHROMEDRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
