"""The page in a real browser, offline: it renders, asks for nothing, and fits its window."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from transecg_core.report import complete, write_comparison, write_report

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    return found


def browse(chromium: str, page: Path, profile: Path, *more: str) -> str:
    profile.mkdir()
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", *more, page.as_uri()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=180)
    return done.stdout


def pixels(path: Path) -> tuple[int, int, float]:
    """Return width, height and the share of bytes that are not the page's white, from a PNG."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    body, at = b"", 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            body += data[at + 8 : at + 8 + size]
        at += size + 12
    # Each line starts with its filter byte; after filtering, unchanged pixels are zeros.
    raw = zlib.decompress(body)
    return width, height, 1 - raw.count(0) / len(raw)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_renders(chromium, rich_report, tmp_path, width) -> None:
    page = write_report(rich_report, tmp_path / "run")
    shot = tmp_path / "shot.png"
    browse(chromium, page, tmp_path / "profile", f"--window-size={width},2400", f"--screenshot={shot}")
    seen_width, seen_height, ink = pixels(shot)
    assert (seen_width, seen_height) == (width, 2400)
    assert ink > 0.01


def test_the_dom_holds_every_section_and_figure(chromium, rich_report, tmp_path) -> None:
    page = write_report(rich_report, tmp_path / "run")
    dom = browse(chromium, page, tmp_path / "profile", "--dump-dom")
    for section in (
        "verdict",
        "risks",
        "beat",
        "sites",
        "utility",
        "privacy",
        "data",
        "threats",
        "limits",
        "glossary",
        "manifest",
    ):
        assert f'<section id="{section}"' in dom or f'id="{section}"' in dom
    assert dom.count("<svg") == page.read_text(encoding="utf-8").count("<svg") > 15


def test_nothing_sticks_out_of_a_narrow_window(chromium, rich_report, sparse_report, tmp_path) -> None:
    # The page itself runs no script; a copy with a probe measures the layout.
    probe = "<script>document.title='width '+document.documentElement.scrollWidth+' of '+innerWidth</script></body>"
    for name, report in (("rich", rich_report), ("sparse", sparse_report)):
        page = write_report(report, tmp_path / name)
        html = page.read_text(encoding="utf-8")
        html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html).replace("</body>", probe)
        page.write_text(html, encoding="utf-8")
        dom = browse(chromium, page, tmp_path / f"profile-{name}", "--window-size=500,900", "--dump-dom")
        found = re.search(r"<title>width (\d+) of (\d+)</title>", dom)
        assert found
        assert int(found[1]) <= int(found[2])


def test_the_comparison_renders(chromium, rich_report, private_report, tmp_path) -> None:
    arms = {"best": [complete(rich_report)], "epsilon=8": [complete(private_report())]}
    page = write_comparison(arms, tmp_path / "out")
    dom = browse(chromium, page, tmp_path / "profile", "--dump-dom")
    assert "Three criteria of anonymisation" in dom
    assert dom.count("<svg") >= 6
