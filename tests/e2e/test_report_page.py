"""The report in a browser: complete, quiet, and no wider than the screen."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.report import render_report
from tests.report_example import HOSTILE, report_data

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

# In a frame, because no window is as narrow as a phone; by srcdoc, because the script outside may measure only that.
PROBE = """<!doctype html><body>
<iframe id="page" style="width:{width}px;height:4000px;border:0" srcdoc="{page}"></iframe>
<script>
const frame = document.getElementById("page");
frame.addEventListener("load", () => {{
  const inside = frame.contentDocument, root = inside.documentElement;
  const resources = frame.contentWindow.performance.getEntriesByType("resource").map(resource => resource.name);
  const found = {{
    overflow: root.scrollWidth - frame.clientWidth,
    loaded: resources.filter(name => !name.startsWith("data:")),
    images: inside.images.length,
    broken: [...inside.images].filter(i => !i.naturalWidth).map(i => i.alt),
  }};
  document.body.dataset.found = JSON.stringify(found);
}});
</script></body>"""


FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--enable-logging=stderr", "--window-size=1400,4100", "--dump-dom"),
]


def look(page: str, width: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What the browser measured, and its console's lines."""
    probe = folder / "probe.html"
    probe.write_text(PROBE.format(width=width, page=html.escape(page)), encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    measured = re.search(r'data-found="([^"]+)"', done.stdout)
    assert measured, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(measured.group(1))), console


@pytest.mark.parametrize("width", [380, 1280])
@pytest.mark.parametrize("classes", [["crazing", "pitted_surface", "rolled-in scale"], [*HOSTILE, "w" * 80]])
def test_the_page_is_whole_quiet_and_fits(tmp_path: Path, width: int, classes: list[str]) -> None:
    found, console = look(render_report(report_data(classes)), width, tmp_path)
    assert found["overflow"] <= 0
    assert found["loaded"] == [] and console == []
    assert found["images"] == 5 + 3 * len(classes) and found["broken"] == []


def test_the_check_notices_a_bad_page(tmp_path: Path) -> None:
    bad = '<p style="width:2000px"><img src="http://127.0.0.1:9/x.png" alt="far"><script>console.error("bad")</script>'
    found, console = look(bad, 380, tmp_path)
    assert found["overflow"] > 0 and found["broken"] == ["far"] and found["loaded"]
    assert any("bad" in line for line in console)
