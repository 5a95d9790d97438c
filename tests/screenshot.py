"""docs/explorer.png, from what `make demo` made: python -m tests.screenshot (or: make screenshot)."""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from service.embedded_redis import embedded_redis
from tests.browser import Browser, chromium
from tests.conftest import serving

WIDTH, HEIGHT = 1400, 1430
VIEW = "/?user=user-0001&steps=4&diversity=0.2"
PICTURE = Path(__file__).parent.parent / "docs" / "explorer.png"


def take(browser: Browser, path: Path) -> None:
    """Write what the page looks like, once nothing moves any more."""
    browser.wait(lambda: browser.run("return document.getAnimations().length === 0"), "the page to be at rest")
    shot = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    path.write_bytes(base64.b64decode(shot["data"]))


def main(demo: Path, picture: Path) -> None:
    """Serve the demo, look at one user with an interest selected, take the picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_redis(demo / "redis") as redis,
        serving(demo / "artifacts", redis, Path(folder) / "log") as service,
        chromium(Path(folder) / "profile") as browser,
    ):
        browser.resize(WIDTH, HEIGHT)
        browser.open(service.url + VIEW)
        browser.one(".interest .choose").click()
        take(browser, picture)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"), PICTURE)
