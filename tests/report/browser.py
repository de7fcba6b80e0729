"""A real browser without a window, spoken to by its DevTools protocol over a pipe: it sees what a page does."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = ("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")

_PATIENCE = 60
"""Seconds of silence after which the browser is taken for dead."""

CONTRAST = """(() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const f = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const found = []; const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) { const e = walk.currentNode.parentElement, text = walk.currentNode.data.trim();
    if (!text || e.closest("style, figure svg")) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) found.push(text.slice(0, 40) + " " + ((a + .05) / (b + .05)).toFixed(2)); }
  return found; })()"""
"""Texts whose contrast with their background is below the 4.5 that WCAG 2.2 asks for."""


class Browser:
    """One headless browser with one page; leaving the context ends it."""

    def __init__(self, profile: Path) -> None:
        self._ids = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        # The browser reads from 3 and writes to 4. A shell hands them over: a function of ours would have to fork.
        hand_over = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = ["bash", "-c", hand_over, str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(
            command, stdout=nowhere, stderr=nowhere, stdin=nowhere, pass_fds=(theirs_in, theirs_out)
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer, self._session = b"", ""
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._ask(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, page: Path, width: int, height: int = 900, scheme: str = "light") -> None:
        """Show a file at a width, in CSS pixels, in the light or the dark."""
        self._ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self._ask("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()
        self.evaluate("document.fonts.ready.then(() => true)")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; it is not bound by the page's policy."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    @contextmanager
    def printing(self) -> Iterator[None]:
        """Show the page as it is laid out for paper."""
        self._ask("Emulation.setEmulatedMedia", media="print")
        yield
        self._ask("Emulation.setEmulatedMedia", media="")

    def requests(self) -> list[str]:
        """Every address that was asked for since the page was opened."""
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """What the console says: errors, warnings, breaches of the page's policy."""
        said = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in said]

    def screenshot(self, file: Path) -> None:
        """Save the whole page as a PNG."""
        file.write_bytes(self._decoded("Page.captureScreenshot", captureBeyondViewport=True))

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return self._decoded("Page.printToPDF", preferCSSPageSize=True)

    def _decoded(self, method: str, **parameters: Any) -> bytes:
        return base64.b64decode(self._ask(method, **parameters)["data"])

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], _PATIENCE)
            assert ready, f"the browser has said nothing for {_PATIENCE} s"
            read = os.read(self._in, 1 << 20)
            assert read, "the browser has ended"
            self._buffer += read
        data, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(data)
        if "method" in message:
            self.events.append(message)
        return message
