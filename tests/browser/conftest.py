"""A report of two small studies, and what a headless Chromium says of its pages."""

from __future__ import annotations

import gzip
import html
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headless import BROWSERS, HERE, dumped, served

sys.path += [str(HERE.parent / "unit"), str(HERE.parent / "unit" / "reporting")]

from hand_made import GAIN, LOO, TABLE, Model, above, write  # noqa: E402
from small_study import ROOT, write_study  # noqa: E402
from study_rows import change_study  # noqa: E402

from recspectra.reporting.draw import draw  # noqa: E402
from recspectra.reporting.site import write_report  # noqa: E402

CLAIM = GAIN | {"statement": "WPGRec is above EASE", "rivals": ["ease"]}


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report; beside it are its zip and the studies."""
    results = tmp_path_factory.mktemp("browser") / "results"
    base = np.random.default_rng(0).uniform(0.2, 0.4, (1, 200))
    models = {"wpgrec": Model(above(base, 0.0, 1)), "ease": Model(above(base, 0.02, 2), kind="closed-form"),
              "sgl": Model(np.concatenate([base, base]) - 0.1, curve=[0.1, 0.3, 0.2])}  # fmt: skip
    hand = write(results / "studies" / "hand", {LOO: models}, [CLAIM]).folder
    change_study(hand, tables=[TABLE])
    folders = [write_study(results / "studies" / "fixture"), hand]
    for folder in folders:
        draw(folder, ROOT)
    write_report(results / "report" / "index.html", folders, ROOT)
    return results / "report"


@pytest.fixture(scope="session")
def browser() -> str:
    """The command of a browser."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    return found


@pytest.fixture(scope="session")
def answers(browser: str, report: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `probe.js` found on every page, wide, narrow and on paper."""
    place = tmp_path_factory.mktemp("probe")
    copy = place / "report"
    shutil.copytree(report, copy)
    (copy / "axe.min.js").write_bytes(gzip.decompress((HERE / "vendor" / "axe.min.js.gz").read_bytes()))
    shutil.copy(HERE / "probe.js", copy / "probe.js")
    pages = html.escape(json.dumps(sorted(p.name for p in report.glob("*.html"))))
    (copy / "probe.html").write_text(f'<body data-pages="{pages}"><script src="probe.js"></script></body>')
    with served(copy) as port:
        text = dumped(browser, place / "profile", f"http://127.0.0.1:{port}/probe.html", milliseconds=300_000)
    found = re.search(r'<pre id="result">(.*?)</pre>', text, re.DOTALL)
    assert found, "the probe gave no answer"
    said = json.loads(html.unescape(found[1]))
    assert "error" not in said, said["error"]
    return said
