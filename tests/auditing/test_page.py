"""The page that an audit leaves, by what it says and in headless Chromium."""

import re
import shutil

import numpy as np
import pytest

from duo.auditing import findings, folder
from duo.auditing.findings import Findings
from duo.figures import audit, base
from duo.stats import Interval
from duo.studies.departures import ByDepartures, BySampled, Calibrated

CHROMIUM = shutil.which("chromium")
HOSTILE = "<script>alert('model')</script>"


def interval(value: float) -> Interval:
    return Interval(value, value - 0.1, value + 0.1, 0.05)


def found(unexplained: float = 0.3, foreseen: float = 0.0, several: int = 2) -> Findings:
    rows = [
        ByDepartures(
            most,
            10**most,
            *map(interval, (1.0 + most / 8, 0.7)),
            interval(unexplained),
            interval(0.6),
            interval(foreseen),
            *map(interval, (0.01, 0.5, 0.5)),
        )
        for most in range(1, several + 1)
    ]
    calibration = Calibrated(*map(interval, (3.0, 3.01, 3.1, 2.8)), (1.1, 1.2))
    return Findings(rows, calibration, {"model": HOSTILE}, "30 layers", "at most so many left out", 8, 0.95)


def sampled() -> Findings:
    row = BySampled(1, 7, *map(interval, (1.0, 0.9, 0.1, 0.9, 0.0)))
    return Findings([row], None, {"losses": "mine"}, "", "at most so many departures", 8, 0.95)


def page(shown: Findings, path) -> str:
    picture = audit.gains(shown.columns(), shown.bound, "", shown.confidence)
    base.write(picture, {"svg": path / "gain.svg"})
    return folder.page(shown, picture, (path / "gain.svg").read_bytes())


@pytest.mark.parametrize(
    ("unexplained", "foreseen", "said"),
    [
        (0.3, 0.0, ("more than that prediction explains", "no gain can be told from none")),
        (0.05, 0.3, ("the gain can't be told from luck", "so much can be had without it")),
        (-0.3, -0.3, ("less is gained than there would be by luck", "they do harm")),
    ],
)
def test_sentences_say_what_the_intervals_allow(unexplained, foreseen, said):
    text = " ".join(findings.sentences(found(unexplained, foreseen)))
    verdicts = {
        "more than that prediction explains",
        "the gain can't be told from luck",
        "less is gained than there would be by luck",
        "no gain can be told from none",
        "so much can be had without it",
        "they do harm",
    }
    assert {words for words in verdicts if words in text} == {*said}


def test_losses_alone_say_nothing_of_what_nobody_knows():
    words = " ".join([*findings.sentences(sampled()), *findings.caveats(sampled()), findings.table(sampled())])
    assert not re.search("temperature of|foreseen|tempered|model's loss|left out", words)
    assert "at most 1: 7 routes" in words and "+0.100 (+0.000 to +0.200)" in words


def test_a_table_of_many_departures_is_as_wide_as_a_terminal():
    text = findings.table(found(several=10))
    assert max(map(len, text.splitlines())) < 150
    assert [int(most) for most in re.findall(r"at most (\d+):", text)] == list(range(1, 11))


@pytest.mark.skipif(not CHROMIUM, reason="no `chromium` on the PATH; Debian's package of that name has it")
@pytest.mark.parametrize("make", [found, sampled])
def test_the_page_in_a_browser(make, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra `test`")
    (tmp_path / "index.html").write_text(page(make(), tmp_path), encoding="utf-8")
    said, asked = [], []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 400, "height": 800})
        opened.on("console", lambda message: said.append(message.text))
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto((tmp_path / "index.html").as_uri())
        assert opened.evaluate("[...document.images].map(image => image.naturalWidth > 0)") == [True]
        assert opened.evaluate("document.documentElement.scrollWidth") <= 400
        text = opened.locator("main").inner_text()
        assert opened.locator("script").count() == 0
        browser.close()
    assert said == [] and all(url.startswith(("file:", "data:")) for url in asked)
    shown = make()
    assert all(str(value) in text for value in shown.ran.values())
    for row in shown.rows:
        values = np.array([each.value for each in row[2:]])
        assert all(f"{value:+.3f}" in text or f"{100 * value:.0f} %" in text for value in values)
