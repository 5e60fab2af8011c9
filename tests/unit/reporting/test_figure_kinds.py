"""Kinds of figures that show doubt: ablation, forest, published, sweeps; and the look of all of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hand_made import BOTH, LOO, ROOT, Model, above, judged, write
from hypothesis import given
from hypothesis import strategies as st
from study_rows import change_study, texts_of

from recspectra import registry
from recspectra.config.study import FigureConfig, TableConfig
from recspectra.files import PACKAGE_DIR
from recspectra.reporting.figures import alt_text, draw_figure, figure_data, svg, theme
from recspectra.reporting.figures.base import FigureData
from recspectra.reporting.figures.heatmap import heat
from recspectra.reporting.figures.lines import lines, named_directly
from recspectra.reporting.figures.published import impossible_rows, largest_gaps
from recspectra.reporting.figures.timing import DOTS, dots
from recspectra.reporting.figures.tuning import searches
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults
from recspectra.reporting.tables import build

USERS = 200
BASE = np.random.default_rng(0).beta(1, 9, (1, USERS))
MEASURED = {"protocol": "wpgrec", "metric": "ndcg", "k": 10}
EXACT = {"kind": "closed-form"}


def figure(kind: str, **keys: object) -> FigureConfig:
    taken = {name: value for name, value in MEASURED.items() if name in registry.figure_keys(kind)}
    return FigureConfig(name=kind, kind=kind, **{"title": "T", **taken, **keys})


def variants() -> list[Model]:
    """The whole model, one that is surely worse without a part, one that is hardly changed."""
    worse, same = above(BASE, -0.02, 1), above(BASE, 0.0004, 2)
    return [
        Model(BASE, variant="full", **EXACT),
        Model(worse, variant="no-graph", **EXACT),
        Model(same, variant="no-gate", **EXACT),
    ]


@pytest.fixture
def parts(tmp_path: Path) -> StudyResults:
    pairs = [{"better": "full", "worse": name, "claim": "helps"} for name in ("no-graph", "no-gate")]
    claim = {"name": "parts", "title": "Parts?", "kind": "ablation", "model": "wpgrec", "protocol": "wpgrec",
             "pairs": pairs}  # fmt: skip
    return write(tmp_path / "s", {LOO: {"wpgrec": variants()}}, [claim])


# ------------------------------------------------------------------------------- ablation


def test_ablation_bars_agree_with_the_claim_about_the_same_pairs(parts: StudyResults) -> None:
    frame = figure_data(parts, figure("ablation")).frame.set_index("series")
    rows = judged(parts)
    rows = rows[rows["scope"] == "claim"]
    np.testing.assert_allclose(frame["p"], rows["p"])
    shown = (frame["gain_high"] < 0) | (frame["gain_low"] > 0)
    assert list(shown) == [verdict == "reproduced" for verdict in rows["verdict"]] == [True, False]
    np.testing.assert_allclose(frame["gain"], frame["value"] / frame["reference_value"] - 1)


def test_ablation_is_set_against_the_named_reference(parts: StudyResults) -> None:
    frame = figure_data(parts, figure("ablation", reference="no-graph")).frame
    assert list(frame["series"]) == ["full", "no-gate"]
    assert (frame["gain_low"] > 0).all()
    assert "no-nothing" in figure_data(parts, figure("ablation", reference="no-nothing")).reason


# ------------------------------------------------------------------- sweeps with a refit


def points_of(fit: str, gaps: dict[tuple[int, int], float], noise: float = 0.002) -> list[Model]:
    """Return points of a sweep of `a` and `b`, each above `BASE` by a gap."""
    return [
        Model(above(BASE, gap, 10 * a + b, noise), variant=f"a={a},b={b}", swept={"a": a, "b": b}, fit=fit,
              key=f"{fit}-{a}-{b}", **EXACT)
        for (a, b), gap in gaps.items()
    ]  # fmt: skip


TRAIN = {(1, 1): 0.0, (2, 1): 0.02, (1, 2): 0.0001, (2, 2): 0.0199}
REFIT = {(1, 1): 0.05, (2, 1): 0.03, (1, 2): 0.0501, (2, 2): 0.03}


@pytest.fixture
def both_fits(tmp_path: Path) -> StudyResults:
    points = points_of("train", TRAIN) + points_of("train+valid", REFIT)
    return write(tmp_path / "s", {LOO: {"wpgrec": points}}, [])


def test_each_fit_has_a_map_of_its_own_and_ties_with_its_own_best(both_fits: StudyResults) -> None:
    what = figure_data(both_fits, figure("heatmap", param="a", other_param="b"))
    frame = what.frame
    assert not frame.duplicated(["panel", "x", "y"]).any()
    for fit, gaps, tied in (("train", TRAIN, 2), ("train+valid", REFIT, 1)):
        own = frame[frame["panel"] == fit].set_index(["x", "y"])
        means = {place: BASE.mean() + gap for place, gap in gaps.items()}
        assert own["value"].to_dict() == pytest.approx(means)
        assert set(own.index[own["tied"].astype(bool)]) == {place for place in gaps if place[0] == tied}
    with theme.themed("t"):
        titles = [axis.get_title(loc="left") for axis in heat(what).axes]
    assert titles[:2] == ["train", "train+valid"]


def test_lines_of_both_fits_have_differences(both_fits: StudyResults) -> None:
    frame = figure_data(both_fits, figure("sensitivity", param="a")).frame
    assert frame[["y", "low", "high"]].notna().all(axis=None)
    found = frame[frame["x"] == 2].groupby(frame["series"].str.contains("valid"))["y"].max()
    assert found.to_dict() == pytest.approx({False: 0.02, True: -0.02}, abs=2e-4)


# --------------------------------------------------------------------------------- forest


def test_forest_says_what_is_tied_with_the_best_and_between_which_ranks(tmp_path: Path) -> None:
    values = {
        "wpgrec": BASE, "bsarec": above(BASE, -0.0002, 1), "dgrec": above(BASE, -0.01, 2),
        "sgl": above(BASE, -0.05, 3),
    }  # fmt: skip
    models = {name: Model(array, **EXACT) for name, array in values.items()}
    files = write(tmp_path / "s", {LOO: models}, [])
    what = figure_data(files, figure("forest"))
    rows = what.frame.set_index("series")
    assert list(rows["tied"]) == [True, True, False, False]
    assert list(rows["rank"]) == [1, 2, 3, 4]
    ranks = rows[["rank_low", "rank_high"]].to_numpy().tolist()
    assert ranks == [[1, 2], [1, 2], [3, 3], [4, 4]]
    spread = BASE.std(ddof=1) / np.sqrt(USERS)
    np.testing.assert_allclose(
        rows.loc["WPGRec", "high"] - rows.loc["WPGRec", "low"], 3.92 * spread, rtol=0.1
    )
    assert "WPGRec is first, not told from BSARec" in what.alt


def test_forest_has_the_intervals_and_ties_of_the_table_of_the_same_models(tmp_path: Path) -> None:
    seeds = {"wpgrec": (BASE, 1), "bsarec": (above(BASE, -0.002, 1), 2), "dgrec": (above(BASE, -0.004, 2), 3)}
    models = {
        name: Model(np.concatenate([above(values, 0.002, seed), above(values, -0.002, seed + 9)]))
        for name, (values, seed) in seeds.items()
    }
    files = write(tmp_path / "s", {LOO: models}, [])
    table = TableConfig(name="t", title="T", protocol="wpgrec", metrics=["ndcg"], k=[10])
    rows = build(files, table, Published(ROOT)).set_index("row")
    drawn = figure_data(files, figure("forest")).frame.set_index("series")
    for end in ("low", "high"):
        np.testing.assert_allclose(drawn[end], rows[end][drawn.index], atol=1e-9)
    assert drawn["tied"].to_dict() == (rows["standing"] != "below")[drawn.index].to_dict()


def test_equal_models_share_a_rank_in_every_resample(tmp_path: Path) -> None:
    models = {name: Model(BASE, **EXACT) for name in ("wpgrec", "bsarec")}
    rows = figure_data(write(tmp_path / "s", {LOO: models}, []), figure("forest")).frame
    assert rows[["rank", "rank_low", "rank_high"]].to_numpy().tolist() == [[1, 1, 1]] * 2


def test_nobody_leads_by_a_metric_of_which_more_is_not_better(tmp_path: Path) -> None:
    models = {"wpgrec": Model(5 + BASE, metric="novelty", **EXACT)}
    what = figure_data(write(tmp_path / "s", {LOO: models}, []), figure("forest", metric="novelty"))
    assert what.frame.empty and "no model leads" in what.reason


def test_variants_of_several_models_are_not_set_against_one_reference(tmp_path: Path) -> None:
    models = {name: [Model(BASE, variant=v, **EXACT) for v in ("full", "less")] for name in ("sgl", "ease")}
    files = write(tmp_path / "s", {LOO: models}, [])
    assert "name one with `model`" in figure_data(files, figure("ablation")).reason
    assert len(figure_data(files, figure("ablation", model="sgl")).frame) == 1


def test_lists_from_elsewhere_vary_with_their_seed_as_in_claims(tmp_path: Path) -> None:
    seeds = np.stack([BASE[0] * share for share in (0.9, 1.0, 1.1)])
    models = {"sgl": Model(seeds), "ease": Model(BASE, kind="lists"), "dgrec": Model(BASE, **EXACT)}
    rows = figure_data(write(tmp_path / "s", {LOO: models}, []), figure("forest")).frame
    wide = rows.assign(width=rows["high"] - rows["low"]).set_index("series")["width"]
    assert wide["EASE"] > 1.1 * wide["DGRec"]


def test_without_values_of_users_there_is_a_reason(parts: StudyResults) -> None:
    (parts.folder / "per_user" / f"{LOO}.parquet").unlink()
    for kind in ("ablation", "forest"):
        assert figure_data(parts, figure(kind)).reason == "no values of single users are on disk"


# ---------------------------------------------------------------------------- sensitivity


def swept(folder: Path, values: dict[float, np.ndarray], also: dict | None = None) -> StudyResults:
    """A study that sweeps `c`; `also` are parameters of a run without sweep."""
    models = [Model(array, variant=f"c={c}", **EXACT) for c, array in values.items()]
    files = write(folder, {LOO: {"wpgrec": [*models, *([Model(BASE, **EXACT)] if also else [])]}}, [])
    runs = texts_of(folder, "runs")
    for i, c in enumerate(values):
        runs.loc[i, ["swept", "group"]] = [json.dumps({"c": c}), "sweep"]
    if also:
        runs.loc[len(values), "params"] = json.dumps(also)
    runs.to_csv(folder / "runs.csv", index=False)
    return files


VALUES = {0.1: BASE, 0.2: above(BASE, 0.001, 1), 0.4: above(BASE, -0.03, 2)}


@pytest.mark.parametrize(
    ("also", "keys", "base"), [(None, {}, 0.1), ({"c": 0.2}, {}, 0.2), ({"c": 0.2}, {"reference": 0.4}, 0.4)]
)
def test_a_sweep_is_drawn_as_difference_from_its_reference(
    tmp_path: Path, also: dict | None, keys: dict, base: float
) -> None:
    files = swept(tmp_path / "s", VALUES, also)
    what = figure_data(files, figure("sensitivity", param="c", group="sweep", **keys))
    rows = what.frame.set_index("x")
    np.testing.assert_allclose(
        rows["y"], [VALUES[c].mean() - VALUES[base].mean() for c in VALUES], atol=1e-12
    )
    assert list(rows.loc[base, ["y", "low", "high"]]) == [0.0, 0.0, 0.0]
    assert f"difference from c = {base}" in what.caption
    assert rows.loc[0.4, "high"] < 0 or base == 0.4


def test_a_sweep_without_values_of_users_is_drawn_as_it_is(tmp_path: Path) -> None:
    files = swept(tmp_path / "s", VALUES)
    (files.folder / "per_user" / f"{LOO}.parquet").unlink()
    what = figure_data(files, figure("sensitivity", param="c", group="sweep"))
    np.testing.assert_allclose(what.frame["y"], [array.mean() for array in VALUES.values()])
    assert not what.note and "difference" not in what.caption


# ------------------------------------------------------------------------------ published


def test_published_points_are_split_by_definition_and_impossible_rows_are_crossed(tmp_path: Path) -> None:
    values = {
        name: Model(above(BASE, gap, 1), **EXACT) for name, gap in {"wpgrec": 0.0, "sgl": -0.01}.items()
    }
    files = write(tmp_path / "s", {LOO: values}, [])
    table = {"name": "t", "title": "T", "protocol": "wpgrec", "metrics": ["ndcg"], "k": [10],
             "published": "wpgrec/table1"}  # fmt: skip
    what = figure_data(change_study(files.folder, tables=[table]), figure("published"))
    printed = pd.read_csv(ROOT / "config/published/results.csv")
    printed = printed[(printed["paper"] == "wpgrec") & (printed["dataset"].str.lower() == "lastfm")]
    own = printed[printed["metric"].isin(["ndcg@10", "NDCG@10"])].set_index("method")["value"]
    assert set(what.frame["published"]) <= set(own) and len(what.frame) == 2
    np.testing.assert_allclose(sorted(what.frame["ours"]), sorted(m.values.mean() for m in values.values()))
    broken = impossible_rows(Published(ROOT), "gsprec/table4")
    assert ("ml-100k", "LightGCN") in broken and ("ml-100k", "Popularity") not in broken


def test_the_largest_gaps_are_by_factor_and_name_each_model_once() -> None:
    frame = pd.DataFrame({"label": ["a", "a", "b", "c"], "series": "d", "published": 0.1,
                          "ours": [0.3, 0.2, 0.02, 0.102]})  # fmt: skip
    found = largest_gaps(frame)
    assert list(found["label"]) == ["b", "a"] and list(found["ours"]) == [0.02, 0.3]


# -------------------------------------------------------------------------- look and size


def test_data_of_figures_load_no_drawing_library() -> None:
    script = "import recspectra.reporting.figures, recspectra.reporting.site, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE_DIR.parent, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "pandas" in loaded and not {"matplotlib", "seaborn", "torch"} & loaded


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot([0.2126, 0.7152, 0.0722], parts))


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_seen_on_a_white_and_on_a_dark_page() -> None:
    for colour in (*theme.COLOURS, theme.PALE):
        assert min(contrast(colour, "#ffffff"), contrast(colour, "#14171c")) >= 3.0, colour
    assert contrast(svg.LIGHT, "#ffffff") >= 7.0 <= contrast(svg.DARK, "#14171c")


def test_an_svg_keeps_text_and_follows_the_colours_of_the_page(parts: StudyResults) -> None:
    draw_figure(parts, figure("ablation", title='A "b" & <c>'))
    text = (parts.folder / "fig-ablation.svg").read_text(encoding="utf-8")
    assert re.search(r"<text[^>]*>no-graph</text>", text)
    assert "currentColor" in text and theme.INK not in text.replace(svg.CSS, "")
    assert 'role="img" aria-label="A &quot;b&quot; &amp; &lt;c&gt;.' in text
    names = re.findall(r'id="([^"]+)"', text)
    assert names and all(name.startswith("hand-ablation-") for name in names)
    assert {target for _, target in re.findall(r'(url\(#|href="#)([^")]+)', text)} == set(names)
    assert '<svg class="rs-figure"' in text


def many(models: int, datasets: int) -> list[tuple[str, str]]:
    return [(f"Dataset {d}", f"A model of some name {m}") for d in range(datasets) for m in range(models)]


def timing_data() -> FigureData:
    rows = [
        (p, s, stage, 10.0 ** (len(s) % 7 - 3), 1) for p, s in many(60, 4) for stage in ("fit", "scoring")
    ]
    return FigureData(pd.DataFrame(rows, columns=DOTS), "", "seconds", "")


def tuning_data() -> FigureData:
    rows = [(p, s, x, x / 20, np.nan, 1) for p, s in many(26, 5) for x in range(1, 21)]
    return FigureData(pd.DataFrame(rows, columns=["panel", "series", "x", "y", "se", "seeds"]), "", "t", "r")


@pytest.mark.parametrize(
    ("data", "render"), [(timing_data, dots), (tuning_data, searches)], ids=["timing", "tuning"]
)
def test_pictures_of_many_models_are_at_most_1600_pixels_high(data, render, tmp_path: Path) -> None:
    with theme.themed("t"):
        picture = render(data())
        picture.savefig(tmp_path / "p.png", dpi=theme.DPI)
    height, width = matplotlib.image.imread(tmp_path / "p.png").shape[:2]
    assert height <= 1600 and width == 1400


@given(st.lists(st.floats(0, 300), min_size=1, max_size=6))
def test_labels_are_kept_apart_in_their_order(places: list[float]) -> None:
    moved = np.array(theme.kept_apart(places, 10.0))
    order = np.argsort(places, kind="stable")
    assert (np.diff(moved[order]) >= 10.0 - 1e-6).all()
    if len(places) == 1 or np.diff(np.sort(places)).min() >= 10.0:
        np.testing.assert_allclose(moved, places)


def test_lines_have_their_names_at_their_ends_only_where_these_are_apart() -> None:
    frame = pd.DataFrame(
        {"panel": "", "series": ["a", "a", "b", "b"], "x": [1, 2, 1, 2], "y": [0, 1, 0, 0.5]}
    )
    assert named_directly(frame, 1)
    assert not named_directly(frame.assign(y=[0, 1, 0.5, 1]), 1)
    assert not named_directly(frame.assign(series=["a" * 40] * 2 + ["b"] * 2), 1)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_bands_reach_from_the_reference_to_every_point(count: int) -> None:
    rows = [("", f"s{i}", x, 0.1 * x * i, 0.1 * x * i - 0.2 * x, 0.1 * x * i + 0.2 * x)
            for i in range(count) for x in (0, 1, 2)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["panel", "series", "x", "y", "low", "high"]).assign(se=0.0)
    with theme.themed("t"):
        (axis,) = lines(FigureData(frame, "", "x", "y")).axes
    paths = [path.vertices for drawn in axis.collections for path in drawn.get_paths()]
    assert len(axis.collections) == count
    ends = np.concatenate(paths)
    assert ends[:, 0].min() == 0 and ends[:, 0].max() == 2
    assert axis.get_ylim()[0] <= frame["low"].min() and axis.get_ylim()[1] >= frame["high"].max()


def test_alt_text_names_the_figure_and_its_main_result(parts: StudyResults) -> None:
    words = alt_text(figure_data(parts, figure("ablation")), figure("ablation", title="Parts."))
    assert words.startswith("Parts. Bars of the change of ndcg@10 against full.")
    assert re.search(r"Differences beyond chance: no-graph -\d", words) and "no-gate" not in words
    assert BOTH["history"] not in words
