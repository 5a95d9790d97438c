"""The explorer page in a real Chromium: what people do there, and what they see then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from models.bundle import MANIFEST, PLANE, current, promote
from service.embedded_redis import embedded_redis
from tests.browser import CHROMEDRIVER, CHROMIUM, Browser, chromium
from tests.conftest import Counted, Service, serving
from tests.test_service import event

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="chromium and chromedriver are not installed (Debian: chromium-driver)"
)
ANN = ("espresso-03", "yoga-01", "espresso-05", "yoga-02", "fishing-02", "yoga-07", "espresso-09", "baking-01")
TITLES = "#candidates > .item:not([data-leaving]) .title"
AUDIT = (Path(__file__).parent / "audit.js").read_text()


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profile")


@pytest.fixture(scope="module")
def chrome(profile: Path) -> Iterator[Browser]:
    with chromium(profile) as browser:
        yield browser


@pytest.fixture(scope="module")
def page_service(artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with users of its own."""
    folder = tmp_path_factory.mktemp("explorer")
    with embedded_redis(folder / "redis") as url, serving(artifacts, url, folder / "log") as running:
        yield running


@pytest.fixture
def browser(chrome: Browser, page_service: Service) -> Iterator[Browser]:
    """A fresh page of every test; whatever the test does, nothing is complained of and nobody else is asked."""
    for user in ("ann", "bob"):
        page_service.client.delete(f"/users/{user}")
    page_service.post_events(*(event("ann", item, timestamp=t) for t, item in enumerate(ANN)))
    page_service.post_events(*(event("bob", item, timestamp=t) for t, item in enumerate(("camping-01", "camping-02"))))
    chrome.driver.delete_all_cookies()
    chrome.resize(1400, 1000)
    chrome.rest()
    chrome.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    chrome.complaints(), chrome.asked_hosts()
    yield chrome
    assert chrome.complaints() == []
    assert chrome.asked_hosts() <= {page_service.url.removeprefix("http://")}


def candidates(browser: Browser) -> list[str]:
    return browser.run(
        "return [...document.querySelectorAll('#candidates > .item:not([data-leaving])')].map((row) => row.dataset.item)"
    )


def changed(browser: Browser, before: list[str], what: str) -> list[str]:
    """The answer, once it is another one."""
    return browser.wait(lambda: browser.idle() and candidates(browser) != before and candidates(browser), what)


def slide(browser: Browser, selector: str, value: float) -> None:
    """Put a slider where a hand would."""
    browser.run(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
        browser.one(selector),
        value,
    )


def pressed(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver).send_keys(*keys).perform()


def test_it_opens_with_a_user_and_the_answer_of_the_service(browser: Browser, page_service: Service):
    browser.open(page_service.url)
    assert "user=ann" in browser.driver.current_url
    assert candidates(browser) == page_service.candidates("ann", n=40)
    assert len(browser.all("#history .event")) == len(ANN)
    assert len(browser.all("#interests .interest")) == 4
    turns = page_service.client.get("/match", params={"user_id": "ann", "n": 48, "merge": "interleaved"}).json()
    for interest in range(4):
        own = [found["item_id"] for found in turns["candidates"] if found["interest"] == interest]
        shown = browser.all(f'.interest[data-interest="{interest}"] .candidates .item')
        assert [node.get_attribute("data-item") for node in shown] == own[:6]
    assert [text.split()[0] for text in browser.texts("#timing .legend li")] == ["history", "encode", "search", "merge"]
    assert len(browser.all(".drawn-interest")) == 4
    assert browser.texts("#about")[0].startswith("dmi-plus 2")


def test_choosing_a_user_shows_that_one(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=ann")
    before = candidates(browser)
    browser.one("#users [data-user=bob]").click()
    assert changed(browser, before, "bob's answer") == page_service.candidates("bob", n=40)
    assert browser.texts("#history .title") == ["Alder Tent", "Alder Sleeping Bag"]
    field = browser.one("#user-field")
    field.clear()
    field.send_keys("ann", Keys.ENTER)
    assert changed(browser, candidates(browser), "ann's answer") == before


def test_the_steps_show_what_refinement_changes(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=ann")
    refined = candidates(browser)
    slide(browser, "#steps", 0)
    coarse = changed(browser, refined, "the coarse answer")
    assert coarse == page_service.candidates("ann", n=40, steps=0)
    assert "steps=0" in browser.driver.current_url
    assert browser.texts("#steps-said") == ["coarse, 0 of 4 steps"]
    assert {float(text) for text in browser.texts(".shift dd")} == {0}
    assert not browser.all(".drawn-interest polygon")
    assert browser.all("#candidates .mark.up, #candidates .mark.new")
    browser.one("#steps").send_keys(Keys.ARROW_RIGHT)
    assert changed(browser, coarse, "one step more") == page_service.candidates("ann", n=40, steps=1)


def test_playing_ends_with_the_refined_answer(browser: Browser, page_service: Service):
    browser.prefer(prefers_reduced_motion="no-preference")  # items slide and fade here
    browser.open(f"{page_service.url}/?user=ann&steps=2")
    browser.run(
        """const steps = document.querySelector("#steps-said");
        window.said = [];
        new MutationObserver(() => window.said.push(steps.textContent)).observe(steps, {childList: true});"""
    )
    browser.one("#play").click()
    browser.wait(lambda: browser.texts("#steps-said") == ["4 of 4 steps"], "the last step")
    browser.wait(lambda: browser.one("#play").text == "▶", "the end")
    said = browser.run("return window.said")  # each step stands for less than a second: too short to be polled for
    assert (said[0], said[-1]) == ("coarse, 0 of 4 steps", "4 of 4 steps")
    browser.wait(lambda: browser.idle() and candidates(browser) == page_service.candidates("ann", n=40), "the answer")
    browser.wait(lambda: not browser.all("[data-leaving]"), "what left to be gone")


def test_a_click_on_an_item_is_an_event_and_changes_the_answer(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=bob")
    before = candidates(browser)
    item = before[20]
    browser.one(f'#candidates [data-item="{item}"] .add').click()
    after = changed(browser, before, "the answer after the event")
    assert item not in after
    assert after == page_service.candidates("bob", n=40)
    assert browser.all(f'#history [data-item="{item}"]')
    fresh = browser.texts("#candidates .item:has(.mark.new) .title")
    assert len(fresh) == len(set(after) - set(before)) > 0


def test_a_session_is_nobodys_and_goes_with_the_request(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?session")
    assert "popular items" in browser.one("#note").text
    popular = candidates(browser)
    field = browser.one("#add-field")
    field.send_keys("alder tent")
    option = "#add-options [role=option]:first-child"
    browser.wait(lambda: "".join(browser.texts(option)).startswith("Alder Tent"), "the tent to be found")
    field.send_keys(Keys.ARROW_DOWN, Keys.ENTER)
    first = changed(browser, popular, "an answer to one item")
    assert browser.texts("#history .title") == ["Alder Tent"]
    assert "item=camping-01" in browser.driver.current_url
    browser.one("#candidates .add").click()
    changed(browser, first, "an answer to two items")
    browser.one("#history .remove").click()
    browser.wait(lambda: len(browser.all("#history .event:not([data-leaving])")) == 1, "one item to be removed")
    assert "ann" in browser.texts("#users")[0]
    assert page_service.client.get("/explorer/users?limit=100").json()["users"] == [
        {"user_id": "ann", "events": len(ANN)},
        {"user_id": "bob", "events": 2},
    ]


def test_a_stored_history_goes_on_as_a_session(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=ann")
    stored = candidates(browser)
    browser.one("#fork").click()
    browser.wait(lambda: browser.idle() and "session" in browser.driver.current_url, "the session")
    browser.wait(lambda: browser.all("#clear:not([hidden])"), "the session's answer")
    assert candidates(browser) == stored


def test_filters_hold(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=ann")
    before = candidates(browser)
    browser.run("document.querySelector('#categories input[value=Baking]').click()")
    baking = changed(browser, before, "only baking")
    assert {item.rsplit("-", 1)[0] for item in baking} == {"baking"}
    assert browser.all('.interest .candidates [data-item^="baking"]')
    browser.one("#all-categories").click()
    assert changed(browser, baking, "everything again") == before
    limit = browser.one("#max")
    limit.send_keys("2", Keys.TAB)
    few = changed(browser, before, "two of each category")
    assert max(few.count(item) for item in few) == 1
    assert few == page_service.candidates("ann", n=40, max_per_category=2)
    browser.one("#merge label:last-of-type").click()
    turns = changed(browser, few, "interests by turns")
    assert turns == page_service.candidates("ann", n=40, max_per_category=2, merge="interleaved")
    slide(browser, "#diversity", 0.8)
    changed(browser, turns, "a more diverse answer")
    assert "diversity=0.8" in browser.driver.current_url


def test_excluding_takes_an_item_out_until_it_is_allowed_again(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=ann")
    before = candidates(browser)
    browser.one("#candidates .exclude").click()
    after = changed(browser, before, "the answer without it")
    assert before[0] not in after
    assert f"exclude={before[0]}" in browser.driver.current_url
    browser.one("#excluded button").click()
    assert changed(browser, after, "the answer with it") == before


def test_an_interest_shows_what_it_reads_and_what_it_prunes(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=ann")
    assert not browser.all("#history .pruned")
    where = "return [...document.querySelectorAll('.event, .interest')].map((part) => part.getBoundingClientRect().y)"
    before = browser.run(where)
    browser.one(".interest .choose").click()
    assert browser.run(where) == before  # nothing moves under the pointer
    asked = {"requests": [{"user_id": "ann", "explain": True}]}
    (answer,) = page_service.client.post("/match", json=asked).json()["results"]
    read = answer["interests"][0]["history"]
    struck = browser.run("return [...document.querySelectorAll('#history .event')].map((e) => e.matches('.pruned'))")
    assert struck == [item["pruned"] for item in read]
    style = "return getComputedStyle(document.querySelector('#history .pruned .title')).textDecorationLine"
    assert browser.run(style) == "line-through"
    assert browser.one(".interest .choose").get_attribute("aria-pressed") == "true"
    browser.run(
        "document.activeElement.blur(); document.querySelectorAll('.interest .choose')[2].focus()"
    )  # points at it
    assert "interest C keeps" in browser.texts("#history-said")[0]


def test_a_view_can_be_shared(browser: Browser, page_service: Service):
    address = f"{page_service.url}/?user=ann&steps=1&n=12&diversity=0.5&category=Yoga&category=Espresso"
    browser.open(address)
    asked = {"n": 12, "steps": 1, "diversity": 0.5, "category": ["Yoga", "Espresso"]}
    assert candidates(browser) == page_service.candidates("ann", **asked)
    assert browser.driver.current_url == address
    assert browser.texts("#diversity-said") == ["0.50"]
    assert '"diversity":0.5' in browser.texts("#curl")[0]


def test_the_keyboard_is_enough(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=ann")
    browser.run("document.querySelector('#candidates .add').focus()")
    focused = "return document.activeElement.closest('.item')?.dataset.item"
    before = candidates(browser)
    pressed(browser, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert browser.run(focused) == before[2]
    pressed(browser, Keys.DELETE)
    after = changed(browser, before, "the answer without the item")
    assert before[2] not in after
    assert browser.run(focused) == after[2]  # what took its place
    pressed(browser, Keys.ENTER)
    changed(browser, after, "the answer after the event")
    assert browser.run("return document.activeElement.matches('.add')")
    pressed(browser, Keys.ARROW_LEFT)
    assert browser.run("return document.activeElement.closest('.interest') !== null")
    browser.run("document.body.tabIndex = -1; document.body.focus()")
    pressed(browser, Keys.TAB)
    assert browser.run("return document.activeElement.textContent") == "Skip to the answer"
    stops: list[str] = []
    while not browser.run("return document.activeElement.matches('.request summary')"):
        pressed(browser, Keys.TAB)
        stops.append(browser.run("return document.activeElement.id || document.activeElement.className"))
        assert len(stops) < 100, stops
    assert {"theme", "user-field", "steps", "play", "diversity", "choose", "add"} <= set(stops)
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) != "none"


def test_the_combobox_closes_with_escape_and_says_when_nothing_is_found(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=ann")
    field = browser.one("#exclude-field")
    field.send_keys("no such thing")
    browser.wait(lambda: browser.texts("#exclude-options .none") == ["nothing has this name"], "the word on it")
    field.send_keys(Keys.ESCAPE)
    assert field.get_attribute("aria-expanded") == "false"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_colour_schemes_pass_the_audit(browser: Browser, page_service: Service, scheme):
    browser.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    browser.open(f"{page_service.url}/?user=ann")
    browser.one(".interest .choose").click()
    light = browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(250, 249, 247)"
    assert light == (scheme == "light")
    assert browser.run(AUDIT) == []
    browser.one("#theme").click()  # the other one, against the system
    assert (browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(250, 249, 247)") != light
    browser.run("localStorage.clear()")


@pytest.mark.parametrize("width", [320, 390, 768, 1080, 1920])
def test_nothing_is_wider_than_the_screen(browser: Browser, page_service: Service, width):
    browser.resize(width, 844)
    browser.open(f"{page_service.url}/?user=ann&exclude=yoga-03")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.run("for (const part of document.querySelectorAll('details')) part.open = true")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.run(AUDIT) == []


def test_titles_are_text_whatever_they_hold(browser: Browser, page_service: Service):
    title = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
    headers = {"Authorization": "Bearer the-admin-token"}
    page_service.client.put("/items/evil", json={"title": title, "category": "Yoga"}, headers=headers)
    browser.open(f"{page_service.url}/?session&item=evil&item=yoga-01&exclude=evil")
    assert browser.texts("#history .title")[0] == title
    assert browser.driver.title == "A session · DMI Match explorer"
    page_service.client.delete("/items/evil", headers=headers)


def test_an_unknown_user_gets_popular_items_and_a_word_on_it(browser: Browser, page_service: Service):
    browser.open(f"{page_service.url}/?user=nobody+at+all")
    assert "“nobody at all”" in browser.one("#note").text
    assert candidates(browser) == page_service.candidates("nobody at all", n=40)


def test_a_key_is_asked_for_and_kept(chrome: Browser, artifacts: Path, tmp_path: Path):
    with (
        embedded_redis(tmp_path / "redis") as url,
        serving(artifacts, url, tmp_path / "log", DMI_API_KEYS="the-key") as service,
    ):
        chrome.open(service.url)
        assert "DMI_API_KEYS" in chrome.one("#trouble").text
        assert not chrome.one("#page").is_displayed()
        chrome.one("#key").send_keys("wrong", Keys.ENTER)
        chrome.wait(lambda: "not an API key" in chrome.one("#trouble").text, "the refusal")
        chrome.one("#key").clear()
        chrome.one("#key").send_keys("the-key", Keys.ENTER)
        chrome.wait(lambda: chrome.idle() and candidates(chrome), "the answer")
        assert not chrome.one("#trouble").is_displayed()
        chrome.open(service.url)
        chrome.wait(lambda: candidates(chrome), "the answer without asking again")
        chrome.complaints()  # the refusals


def test_an_outage_is_told_and_the_next_try_works(chrome: Browser, page_service: Service):
    chrome.open(f"{page_service.url}/?user=ann")
    before = candidates(chrome)
    chrome.command("Network.enable")
    chrome.command(
        "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
    )
    slide(chrome, "#steps", 0)
    chrome.wait(lambda: "does not answer" in chrome.one("#trouble").text, "the word on the outage")
    assert candidates(chrome) == before
    chrome.command(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    chrome.one("#trouble button").click()
    changed(chrome, before, "the coarse answer")
    assert not chrome.one("#trouble").is_displayed()
    chrome.complaints()  # what the browser says of the outage


def test_a_bundle_without_a_map_says_so(chrome: Browser, artifacts: Path, redis_url: str, tmp_path: Path):
    older = Path(shutil.copytree(current(artifacts), tmp_path / "artifacts" / current(artifacts).name))
    manifest = json.loads((older / MANIFEST).read_text())
    del manifest["files"][PLANE]
    (older / MANIFEST).write_text(json.dumps(manifest))
    promote(older.parent, older.name)
    with serving(older.parent, redis_url, tmp_path / "log") as service:
        chrome.open(f"{service.url}/?session&item=yoga-01")
        assert "no map" in chrome.one("#map").text
        assert len(candidates(chrome)) == 40
        assert chrome.complaints() == []


def test_models_without_interests_can_be_looked_at_too(
    chrome: Browser, counted: Counted, redis_url: str, tmp_path: Path
):
    with serving(counted.artifacts, redis_url, tmp_path / "log") as service:
        chrome.open(f"{service.url}/?session&item=yoga-01&item=yoga-02&diversity=0.5")
        chrome.wait(lambda: len(candidates(chrome)) == 40, "the answer")
        assert "no map" in chrome.one("#map").text
        assert not chrome.one("#steps").is_enabled()
        assert len(chrome.all("#history .event")) == 2
        assert chrome.complaints() == []
