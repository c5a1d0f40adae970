"""`python tests/dashboard/measure.py`: what 10,000 points and 200 rows cost in a real browser, as JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import click
from chromium import Chromium, find

from dashboard.sample import SampleView
from dashboard.server import PageServer

PAINTED = """new Promise((done) => new PerformanceObserver((list) => done(list.getEntries().at(-1).startTime))
  .observe({type: "largest-contentful-paint", buffered: true}))"""


def measure(path: str) -> dict[str, float]:
    """Return bytes on the wire, requests, and milliseconds until painted and loaded, caches empty."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Chromium(path, Path(folder)) as browser,
        PageServer(SampleView("large"), port=0) as server,
    ):
        browser.look()
        browser.open(server.url)
        browser.until("document.getElementById('line').textContent === 'Live'")
        done = [one["params"] for one in browser.events if one["method"] == "Network.loadingFinished"]
        return {
            "wire_bytes": sum(one["encodedDataLength"] for one in done),
            "requests": len(done),
            "painted_ms": round(browser.run(PAINTED)),
            "loaded_ms": round(browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd")),
            "elements": browser.run("document.querySelectorAll('*').length"),
        }


if __name__ == "__main__":
    if not (found := find()):
        raise click.ClickException("no Chromium on the PATH; install chromium")
    click.echo(json.dumps([measure(found) for _ in range(3)], indent=2))
