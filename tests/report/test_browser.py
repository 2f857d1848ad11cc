"""Opens report.html in headless Chromium, by its DevTools protocol over two pipes."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from gapdoctor.notebook import Shown

pytestmark = pytest.mark.browser

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


def chromium() -> str:
    """Return the browser; without one, skip, but fail where the checks must really run."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI"):
        pytest.fail("no Chromium: CI installs it, so that the report is really opened")
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


class Tab:
    """One page of a running browser."""

    def __init__(self, to_browser: int, from_browser: BinaryIO) -> None:
        self._to = to_browser
        self._from = from_browser
        self._count = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, url: str, width: int, *, dark: bool = False) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self._next()

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def close(self) -> None:
        self._session = None
        self.call("Browser.close")

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._from.read(1)) != b"\0":
            assert byte, "the browser closed its pipe"
            text += byte
        message: dict[str, Any] = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message


# Chromium listens on descriptor 3 and answers on 4.
_START = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


@contextlib.contextmanager
def browser(path: str) -> Iterator[Tab]:
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with contextlib.ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        start = [sys.executable, "-c", _START, str(to_read), str(from_write), path, *_FLAGS]
        process = subprocess.Popen(
            [*start, f"--user-data-dir={profile}"],
            pass_fds=(to_read, from_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_ended, process)
        os.close(to_read)
        os.close(from_write)
        answers = stack.enter_context(os.fdopen(from_read, "rb"))
        stack.callback(os.close, to_write)
        tab = Tab(to_write, answers)
        yield tab
        tab.close()


def _ended(process: subprocess.Popen[bytes]) -> None:
    """Wait for the browser, which ends when its pipe is closed; end it where it does not."""
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser(chromium()) as opened:
        yield opened


@pytest.fixture
def page(html_of, tmp_path):
    """Write a variant's report, return its address."""

    def write(name: str) -> str:
        path: Path = tmp_path / "report.html"
        path.write_text(html_of(name), encoding="utf-8")
        return path.as_uri()

    return write


# An element sticks out unless a box that scrolls holds it; closed details have no size.
_STICKING_OUT = """
Array.from(document.querySelectorAll("body *"))
  .filter(e => !e.closest(".scroll, pre") || e.matches(".scroll, pre"))
  .filter(e => e.getBoundingClientRect().width > 0)
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5
            || e.getBoundingClientRect().left < -0.5)
  .map(e => e.tagName + " " + e.className + " " + e.textContent.slice(0, 60))
"""

_WIDTHS = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"

# Words that leave the drawing that holds them, or lie upon each other, cannot be read.
_CUT_WORDS = """
Array.from(document.querySelectorAll("svg")).filter(s => s.getBoundingClientRect().width > 0)
  .flatMap(s => Array.from(s.querySelectorAll("text"))
    .filter(t => { const a = t.getBoundingClientRect(), b = s.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1
          || a.top < b.top - 1 || a.bottom > b.bottom + 1; })
    .map(t => s.getAttribute("aria-label").slice(0, 30) + ": " + t.textContent))
"""

_SMALL_WORDS = """
Array.from(document.querySelectorAll("svg text"))
  .map(t => t.getBoundingClientRect()).filter(b => b.width > 0 && b.height < 9.5).length
"""

# WCAG 2.1, 1.4.3: contrast of text against the nearest background that is not transparent.
_PALE = """
(() => {
  const rgb = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = rgb(c).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (let p = e; p; p = p.parentElement) {
      const c = getComputedStyle(p).backgroundColor; const v = rgb(c);
      if (v.length === 3 || v[3] > 0) return c; } return "rgb(255, 255, 255)"; };
  const own = e => Array.from(e.childNodes)
      .some(n => n.nodeType === 3 && n.textContent.trim() !== "");
  return Array.from(document.querySelectorAll("body *")).filter(own)
    .filter(e => e.getBoundingClientRect().width > 0).map(e => {
      const s = getComputedStyle(e);
      const ink = e.closest("svg") && s.fill.startsWith("rgb") ? s.fill : s.color;
      const [a, b] = [light(ink), light(behind(e))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), e.textContent.trim().slice(0, 40)];
    }).filter(([ratio]) => ratio < 4.5);
})()
"""

_OPEN_ALL = "document.querySelectorAll('details').forEach(d => { d.open = true; })"


@pytest.mark.parametrize("width", [360, 480, 768, 1280])
@pytest.mark.parametrize(
    "name",
    [
        "base", "dwarfed", "hostile", "many_classes", "not_finite", "samples", "hostile_samples",
        "fix", "fix_three", "fix_nothing", "fix_hostile", "comparison",
    ],
)  # fmt: skip
def test_nothing_overflows(tab: Tab, page, name: str, width: int) -> None:
    tab.open(page(name), width)
    tab.evaluate(_OPEN_ALL)

    scrolled, client = tab.evaluate(_WIDTHS)

    assert width - 20 < client <= width  # a scroll bar stands beside the page on wide screens
    assert scrolled <= client
    assert tab.evaluate(_STICKING_OUT) == []


@pytest.mark.parametrize("width", [360, 600, 1280])
@pytest.mark.parametrize(
    "name", ["base", "dwarfed", "many_classes", "fix", "fix_three", "comparison"]
)
def test_words_of_charts_are_whole_and_large_enough(tab: Tab, page, name: str, width: int) -> None:
    tab.open(page(name), width)

    assert tab.evaluate("document.querySelectorAll('svg').length") >= 2, "a wide and a narrow one"
    assert tab.evaluate(_CUT_WORDS) == []
    assert tab.evaluate(_SMALL_WORDS) == 0


@pytest.mark.parametrize("name", ["base", "hostile", "samples"])
def test_nothing_but_the_file_is_requested_and_nothing_is_refused(
    tab: Tab, page, name: str
) -> None:
    url = page(name)
    tab.open(url, 1280)
    tab.evaluate(_OPEN_ALL)

    requests = [e for e in tab.events if e["method"] == "Network.requestWillBeSent"]
    logged = [e for e in tab.events if e["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")]

    asked = {e["params"]["request"]["url"] for e in requests}
    assert {address for address in asked if not address.startswith("data:")} == {url}
    assert logged == []


def test_hostile_names_make_no_element(tab: Tab, page) -> None:
    tab.open(page("hostile"), 1280)

    assert tab.evaluate("document.querySelectorAll('script, img, iframe, object').length") == 0
    assert "</script><img src=x onerror=alert(1)>" in tab.evaluate("document.body.innerText")


@pytest.mark.parametrize("width", [360, 1280])
def test_pictures_of_samples_are_shown(tab: Tab, page, width: int) -> None:
    tab.open(page("samples"), width)
    shown = tab.evaluate(
        "Array.from(document.images).map(i => [i.complete && i.naturalWidth, "
        "i.getBoundingClientRect().width])"
    )

    assert len(shown) == 24
    assert {natural for natural, _ in shown} == {2}
    assert all(48 <= drawn <= 96 for _, drawn in shown)


def test_hostile_samples_make_no_element_of_their_own(tab: Tab, page) -> None:
    tab.open(page("hostile_samples"), 1280)

    assert tab.evaluate("document.querySelectorAll('script, iframe, object, li li').length") == 0
    assert tab.evaluate("document.images.length") == 24
    assert tab.evaluate("Array.from(document.images).every(i => i.src.startsWith('data:'))")
    told = tab.evaluate("document.images[0].alt")
    assert "student says </script><img src=x onerror=alert(1)> (0.99)" in told


def test_the_view_in_a_notebook_leads_to_its_own_sections(tab: Tab, make, tmp_path) -> None:
    """A link within the frame must not open the notebook in it."""
    d = make("samples")
    shown = Shown(**{f.name: getattr(d, f.name) for f in fields(d)})
    notebook = tmp_path / "notebook.html"
    # Without the sandbox, so that the test can look inside; a frame in it obeys the same rules.
    frame = shown._repr_html_().replace('sandbox=""', "")
    notebook.write_text(f"<!doctype html><p>a notebook</p>{frame}", encoding="utf-8")
    tab.open(notebook.as_uri(), 1280)
    inside = "document.querySelector('iframe').contentDocument"
    tab.evaluate(f"{inside}.querySelector('a[href=\"#samples\"]').click()")

    assert tab.evaluate(f"{inside}.location.href") == "about:srcdoc#samples"
    assert tab.evaluate(f"{inside}.images.length") == 24
    assert tab.evaluate(f"{inside}.querySelector('h1').textContent") != ""


def test_the_policy_stops_a_script_that_gets_in(tab: Tab, page, tmp_path: Path) -> None:
    page("base")
    broken = tmp_path / "report.html"
    text = broken.read_text(encoding="utf-8")
    broken.write_text(text.replace("</main>", "<script>window.ran = 1</script></main>"))

    tab.open(broken.as_uri(), 1280)

    assert tab.evaluate("typeof window.ran") == "undefined"
    assert any(e["method"] == "Log.entryAdded" for e in tab.events)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["base", "dwarfed", "healthy", "samples", "fix", "comparison"])
def test_text_has_contrast(tab: Tab, page, name: str, dark: bool) -> None:
    tab.open(page(name), 1280, dark=dark)
    tab.evaluate(_OPEN_ALL)

    assert tab.evaluate(_PALE) == []


def test_dark_is_dark(tab: Tab, page) -> None:
    url = page("base")
    colours = []
    for dark in (False, True):
        tab.open(url, 1280, dark=dark)
        colours.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert colours == ["rgb(255, 255, 255)", "rgb(16, 20, 24)"]


def test_a_screen_reader_finds_names(tab: Tab, page) -> None:
    tab.open(page("base"), 1280)

    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    roles = [n["role"]["value"] for n in nodes if not n.get("ignored")]
    images = [
        n["name"]["value"]
        for n in nodes
        if not n.get("ignored") and n["role"]["value"] in ("image", "img")
    ]

    assert roles.count("main") == 1
    assert "navigation" in roles
    assert "table" in roles
    assert len(images) == 7  # one drawing a chart: the one for narrow screens is not told
    assert all(images)
