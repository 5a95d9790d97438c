"""docs/explorer.png, from what `make demo` made: python -m tests.screenshot (or: make screenshot)."""

from __future__ import annotations

import base64
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

from service.embedded_redis import embedded_redis
from tests.browser import Browser, chromium
from tests.conftest import serving

WIDTH, HEIGHT = 1400, 1640
VIEW = "/?user=user-0000"
PICTURE = Path(__file__).parent.parent / "docs" / "explorer.png"


def take(browser: Browser, path: Path) -> None:
    """Write what the page looks like, once nothing moves any more."""
    browser.wait(lambda: browser.run("return document.getAnimations().length === 0"), "the page to be at rest")
    shot = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    picture = Image.open(BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    picture.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(
        path, optimize=True
    )  # a third of the bytes, and looks the same


def main(demo: Path, picture: Path) -> None:
    """Serve the demo, look at one user with an interest selected, take the picture."""
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_redis(demo / "redis") as redis,
        serving(demo / "artifacts", redis, Path(folder) / "log") as service,
        chromium(Path(folder) / "profile") as browser,
    ):
        browser.resize(WIDTH, HEIGHT)
        for _ in range(2):  # the first answer opens connections: its time is no figure
            browser.open(service.url + VIEW)
        browser.one(".interest .choose").click()
        take(browser, picture)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"), PICTURE)
