"""S-Diff's tables of their own: SNR of all frequencies, times, ratios under two histories, stability."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from study_rows import head_of, run_row, write_files

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions
from recspectra.papers import sdiff_snr
from recspectra.papers.sdiff import UNFOLDED, inference_times, random_interactions, untrained
from recspectra.papers.sdiff_history import CANNOT_TELL, STEADY, UNSTEADY, history_of, steadiest
from recspectra.papers.sdiff_snr import FLOORED, STEPS, item_frequencies, whole_snr
from recspectra.recommender import History
from recspectra.reporting.draw import draw_table, lay_out
from recspectra.reporting.published import Published
from recspectra.reporting.results import COLUMNS, StudyResults
from recspectra.spectral.schedules import mean_log_snr, schedule

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
PUBLISHED = Published(ROOT)
DATA = "ml-1m.diffrec"
VIEWS = [{"history": history, "mask": "train+valid"} for history in ("train", "train+valid")]
Make = Callable[..., StudyResults]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write a study of S-Diff's protocol with some rows of metrics, and what figures measured."""

    def write(
        rows: list[dict], table: dict, tuning: list[dict] = (), **measured: pd.DataFrame
    ) -> StudyResults:
        runs, metrics = [], []
        for row in rows:
            named = {name: row[name] for name in ("variant", "group", "seed", "title") if name in row}
            runs.append(run_row(DATA, row["model"], key=row["model"], kind="trained", **named))
            head = head_of(runs[-1]) | {"protocol": "sdiff", "status": "ok"}
            metrics += [
                head | view | {"metric": metric, "k": k, "value": value}
                for (view, metric, k), value in row["values"]
            ]
        measures = {} if measured else {"protocol": "sdiff", "k": [10]}
        study = {
            "name": "s", "title": "S", "tables": [{"name": "t", "title": "T", **measures, **table}],
            "figures": [{"name": "f", "title": "F", "kind": "snr-all"}] if measured else [],
            "protocols": {"sdiff": {"title": "S", "why": "w", "target": "test", "metrics": ["recall"],
                                    "k": [10, 20], "views": VIEWS}},
        }  # fmt: skip
        tables = {"runs": pd.DataFrame(runs).drop_duplicates(), "metrics": metrics, "tuning": tuning}
        return write_files(tmp_path / "s", study, {DATA: "ML-1M"}, **tables, **measured)

    return write


def shown(files: StudyResults) -> tuple[pd.DataFrame, list[list[str]], list[str]]:
    """Draw the only table; return its long form, its cells and its notes."""
    (table,) = files.config.tables
    draw_table(files, table, PUBLISHED)
    laid = lay_out(files, table, PUBLISHED)
    cells = [[cell.text for cell in row] for row in laid.rows]
    return pd.read_csv(files.folder / "table-t.csv"), cells, laid.notes


# ------------------------------------------------------------------- SNR of all frequencies


def test_all_frequencies_are_those_of_the_similarity(train: Interactions) -> None:
    x = train.matrix.toarray().astype(float)
    du, di = x.sum(axis=1), x.sum(axis=0)
    r = x / np.sqrt(np.where(du > 0, du, np.inf))[:, None] / np.sqrt(np.where(di > 0, di, np.inf))
    expected = np.sort(1.0 - np.linalg.svd(r, compute_uv=False) ** 2)
    found = item_frequencies(train)
    assert len(found) == train.n_items
    assert np.allclose(found[: len(expected)], np.maximum(expected, 0.0), atol=1e-8)


def test_the_mean_over_steps_is_the_reading_of_table_3(train: Interactions) -> None:
    frame = whole_snr(train)
    means = frame.groupby("series")["y"].mean()
    times, d = np.arange(1, STEPS + 1) / STEPS, item_frequencies(train)
    for name in ("ddpm", "ve", "vp"):
        assert means[name] == pytest.approx(mean_log_snr(*schedule(name, times, d, 0.0, 1.0)))
    assert means[FLOORED] > means["vp"]
    assert set(frame["frequencies"]) == {train.n_items}


def test_of_many_items_only_ddpm_is_known_and_printed_numbers_come_out(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdiff_snr, "MOST_ITEMS", 100)
    frame = whole_snr(SimpleNamespace(n_items=2810))
    assert set(frame["series"]) == {"ddpm"}
    points = frame.assign(dataset=DATA, figure="f")
    files = make([], {"kind": "snr-all", "figure": "f", "published": "sdiff/table3"}, snr_all=points)
    _, cells, _ = shown(files)
    assert cells == [["ML-1M", "ddpm", "2,810", "5.25", "5.25", "yes"]]


# ----------------------------------------------------------------------------- times


def test_diffrec_unfolded_gives_the_scores_of_the_short_cut() -> None:
    train, users = random_interactions(30, 80), np.arange(30)
    history = History.of(train, users)
    config = CATALOG.model("diffrec")
    short, whole = (untrained(config, train, params={"steps": 5}, unfold=u) for u in (False, True))
    assert short.params.steps == 5
    assert np.allclose(short.score(users, history), whole.score(users, history), atol=1e-5)
    assert "score" in vars(whole) and "score" not in vars(short)


def test_all_models_are_timed_at_the_same_number_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fake(config: object, train: object, device: str, params: dict, unfold: bool) -> tuple:
        asked.append((config.name, params, unfold))
        return ()

    monkeypatch.setattr("recspectra.papers.sdiff.untrained", fake)
    monkeypatch.setattr("recspectra.papers.sdiff.medians", lambda *_: {"total": 1.0})
    models = {"sdiff": CATALOG.model("sdiff"), UNFOLDED: CATALOG.model("diffrec")}
    times = inference_times(models, [20], [], 20, 30, 1, steps=5)
    assert asked == [("sdiff", {"steps": 5}, False), ("diffrec", {"steps": 5}, True)]
    assert times["model"].tolist() == ["sdiff", UNFOLDED]


def test_the_table_of_times_says_who_grows(make: Make) -> None:
    lines = [
        ["f", model, axis, *((n, 3) if axis == "users" else (3, n)), "total", s, "cpu", 1]
        for model, axis, ends in [("sdiff", "items", (2.0, 6.0)), (UNFOLDED, "items", (1.0, 9.0)),
                                  ("sdiff", "users", (1.0, 1.1)), (UNFOLDED, "users", (1.0, 1.0))]
        for n, s in zip((10, 100), ends, strict=True)
    ]  # fmt: skip
    columns = ["figure", "model", "axis", "users", "items", "part", "seconds", "device", "threads"]
    files = make([], {"kind": "inference", "figure": "f"}, inference=pd.DataFrame(lines, columns=columns))
    frame, _, notes = shown(files)
    line = frame[(frame["axis"] == "items") & (frame["model"] == UNFOLDED)].iloc[0]
    assert (line["growth"], line["sdiff_at_smallest"]) == (9.0, 2.0)
    assert line["sdiff_at_largest"] == pytest.approx(6 / 9)
    assert notes[0].endswith("Items cost more than users for every model.")
    assert notes[1] == (
        f"At the fewest items S-Diff costs more than {UNFOLDED} (x 2.00); towards the most its time grows "
        "slower (x 0.67)."
    )


# ------------------------------------------------------------------- ratios and the history


def of_view(history: str, upper: float, lower: float) -> list[tuple]:
    view = {"history": history, "mask": "train+valid"}
    return [((view, "ndcg", 10), upper), ((view, "recall_min", 10), lower)]


RATIOS = {"kind": "ratios", "metrics": ["ndcg", "recall_min"], "reference": "sdiff",
          "published": "sdiff/table1", "groups": ["main", "span"]}  # fmt: skip


def model(name: str, train: tuple, both: tuple, group: str = "main", seed: int = 0) -> dict:
    values = of_view("train", *train) + of_view("train+valid", *both)
    return {"model": name, "title": name, "group": group, "seed": seed, "values": values}


def test_neither_history_fits_where_one_lacks_the_ratio_and_one_the_level(make: Make) -> None:
    rows = [
        model("ease", (0.08, 0.11), (0.13, 0.16)),  # .727 and .813
        model("gfcf", (0.09, 0.10), (0.12, 0.15)),  # .9 and .8; .7596 is printed
        model("spectral_ridge", (0.085, 0.112), (0.13, 0.165), "span"),  # .1277 is printed
    ]
    frame, cells, notes = shown(make(rows, RATIOS))
    assert frame["printed_ratio"].round(4).unique().tolist() == [0.7596]
    assert cells[-1][:3] == ["printed", "0.760", "0.1277"]
    assert notes[0] == (
        "ML-1M, history train: ratios at 10 lie in 0.727 to 0.900, the printed 0.760 among them; scores in "
        "the span reach 0.1120 at 10, 0.1277 is printed."
    )
    assert "the printed 0.760 outside them; scores in the span reach 0.1650" in notes[1]
    assert notes[2] == "ML-1M: which history the printed row was measured with: cannot tell."


def test_one_history_that_fits_in_both_is_named(make: Make) -> None:
    rows = [
        model("ease", (0.08, 0.11), (0.13, 0.16)),
        model("spectral_ridge", (0.102, 0.13), (0.13, 0.165), "span"),
    ]
    _, _, notes = shown(make(rows, RATIOS))
    assert notes[-1].endswith("measured with: train.")


def test_a_printed_ratio_at_the_end_of_the_range_is_inside_for_its_digits(make: Make) -> None:
    rows = [model("ease", (0.09702, 0.1277), (0.13, 0.16)), model("gfcf", (0.09, 0.1), (0.12, 0.15)),
            model("spectral_ridge", (0.0972, 0.12768), (0.13, 0.165), "span")]  # fmt: skip
    frame, _, notes = shown(make(rows, RATIOS))
    assert (frame["ratio"] > 0.0970 / 0.1277).all() and frame["lower"].iloc[-2] < 0.1277
    assert notes[-1].endswith("measured with: train.")


def test_without_scores_in_the_span_or_with_two_fits_nobody_can_tell(make: Make) -> None:
    _, _, notes = shown(make([model("ease", (0.08, 0.11), (0.13, 0.16))], RATIOS))
    assert "no scores in the span at 10" in notes[0] and notes[-1].endswith(f"{CANNOT_TELL}.")
    assert history_of({"a": {"fits": True}, "b": {"fits": True}}) == CANNOT_TELL


# ------------------------------------------------------------------------------ stability


def spread_rows(values: dict[str, list[float]]) -> list[dict]:
    view = VIEWS[0]
    return [
        {"model": name, "title": name, "seed": seed, "values": [((view, "recall", 10), value)]}
        for name, means in values.items()
        for seed, value in enumerate(means)
    ]


def test_spread_over_seeds_and_settings_stands_in_the_table(make: Make) -> None:
    rows = spread_rows({"sdiff": [0.1, 0.11, 0.12], "diffrec": [0.2, 0.2], "ease": [0.3]})
    rows += [row | {"variant": "full", "group": "denoiser"} for row in rows[:3]]  # the same runs once more
    trials = [dict.fromkeys(COLUMNS["tuning"].split(), "") | {"dataset": DATA, "model": "sdiff", "key": "k",
              "trial": i, "value": v} for i, v in enumerate((0.1, 0.2, 0.3, 0.4, 0.5))]  # fmt: skip
    table = {"kind": "stability", "metrics": ["recall"], "reference": "sdiff"}
    frame, cells, notes = shown(make(rows, table, trials))
    line = frame[frame["model"] == "sdiff"].iloc[0]
    assert line["sd"] == pytest.approx(0.01 / 0.11)
    assert line["low"] < line["sd"] < line["high"] < math.inf
    assert line["settings"] == pytest.approx(0.2 / 0.3)
    assert [row[1] for row in cells] == ["sdiff", "diffrec"]
    assert notes[-1] == "ML-1M: another model's spread is smaller."


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({"sdiff": (0.1, 0.2), "codigem": (0.3, 0.4)}, STEADY),
        ({"sdiff": (0.1, 0.2), "codigem": (0.15, 0.4)}, CANNOT_TELL),
        ({"sdiff": (0.1, 0.2), "codigem": (0.3, 0.4), "giffcf": (0.01, 0.05)}, UNSTEADY),
        ({"sdiff": (math.nan, math.nan), "codigem": (0.3, 0.4)}, f"{CANNOT_TELL} (fewer than two models"),
        ({"sdiff": (0.1, 0.2), "codigem": (math.nan, math.nan)}, f"{CANNOT_TELL} (fewer than two models"),
    ],
    ids=["smallest", "overlap", "another", "one seed", "one seed of the others"],
)
def test_the_steadiest_is_told_by_intervals(ends: dict, expected: str) -> None:
    rows = [{"model": name, "low": low, "high": high} for name, (low, high) in ends.items()]
    assert steadiest(pd.DataFrame(rows), "sdiff").startswith(expected)
