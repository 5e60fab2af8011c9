"""What papers add is found by its place, is used everywhere, and is made again when its code changes."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from recspectra import papers, planning, registry
from recspectra.code_hashes import function_hash
from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.planned import Study
from recspectra.config.study import FigureConfig, StudyConfig
from recspectra.config.yaml_io import validate
from recspectra.evaluation.measure import run_records
from recspectra.reporting import figures, results
from recspectra.reporting.gather import gather
from recspectra.reporting.results import StudyResults

ROOT = Path(__file__).resolve().parents[2]
TOY = '''
"""A fourth paper."""

import pandas as pd

from recspectra.registry import FigureKind, Notes, OfJobs, OfRuns, RunColumns, register

COLUMNS = ("dataset", "seed", "x", "warmth")


def runs(study, figure):
    return [run for run in study.runs if run.run.model == "popularity"]


def rows(study, planned, record):
    points = [(planned.dataset, planned.seed, x, y) for x, y in enumerate(record["log"]["warmth"])]
    return pd.DataFrame(points, columns=COLUMNS)


def data(files, figure, table):
    from recspectra.reporting.figures.base import LINES, drawn

    frame = table.assign(panel="", series="seed " + table["seed"], y=table["warmth"], se=0.0, seeds=1)
    return drawn(frame[LINES], CAPTION, "step", "warmth", "it is cold")


CAPTION = "How warm it was."


def measure(job):
    return pd.DataFrame([["a", job.options["degrees"] + OFFSET]], columns=["place", "heat"])


OFFSET = 1


def warmest(record):
    return {"warmest": max(record["log"]["warmth"])}


def told(files, groups, datasets, fits):
    return ["It was warm."]


register(
    FigureKind("warmth", COLUMNS, ("x", "warmth"), OfRuns(runs, rows), data),
    FigureKind("heat", ("place", "heat"), ("heat",), OfJobs(measure, options={"degrees": 20}), data),
    RunColumns("warmth", ("warmest",), ("warmest",), warmest),
    Notes("warmth", told),
)
'''
STUDY = {
    "name": "w", "title": "W", "datasets": ["synthetic"], "seeds": [0, 1], "protocols": ["standard"],
    "models": [{"model": "popularity"}],
    "figures": [{"name": "warm", "title": "Warm", "kind": "warmth"},
                {"name": "hot", "title": "Hot", "kind": "heat", "options": {"degrees": 30}}],
}  # fmt: skip


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Put a module beside those of the other papers; gone after the test."""
    registry.load()
    folder, added = tmp_path / "papers", []
    folder.mkdir()
    monkeypatch.setattr(papers, "__path__", [*papers.__path__, str(folder)])
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    def add(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        registry.load.cache_clear()
        added.append(f"recspectra.papers.{name}")

    yield add
    registry.load.cache_clear()
    for name in added:
        sys.modules.pop(name, None)


@pytest.fixture
def study(tmp_path: Path, paper: Callable[[str, str], None]) -> Study:
    """A study with figures of the fourth paper, and the records of its runs."""
    paper("toy", TOY)
    path = tmp_path / "w.yaml"
    path.write_text(json.dumps(STUDY))
    found = Catalog(ROOT).study(str(path))
    for r in found.runs:
        folder = tmp_path / "runs" / r.dataset / r.run.model / r.run.key / f"seed-{r.seed}"
        folder.mkdir(parents=True)
        record = {"log": {"warmth": [1.0, 3.0 + r.seed, 2.0]}, "key": r.run.key, "config": r.run.model_dump(),
                  "data": "d", "status": "ok", "reason": "", "peak_memory_mb": 1, "device": "cpu",
                  "threads": 1, "params": {}}  # fmt: skip
        (folder / "run.json").write_text(json.dumps(record))
    return found


# ------------------------------------------------------------------------- one file is enough


def test_a_paper_of_one_file_has_its_numbers_in_a_csv_and_its_figure_drawn(
    study: Study, tmp_path: Path
) -> None:
    gather(study, "warmth", tmp_path)
    folder = tmp_path / "studies" / "w"
    table = pd.read_csv(folder / "warmth.csv")
    assert list(table) == ["figure", "dataset", "seed", "x", "warmth"]
    assert table["warmth"].tolist() == [1.0, 3.0, 2.0, 1.0, 4.0, 2.0] and set(table["figure"]) == {"warm"}
    (folder / "study.json").write_text(json.dumps(STUDY))
    columns = results.COLUMNS["datasets"].split()
    pd.DataFrame([["synthetic"] * len(columns)], columns=columns).assign(density=1, mean_length=1).to_csv(
        folder / "datasets.csv", index=False
    )
    files = StudyResults(folder)
    names = figures.draw_figure(files, files.config.figures[0])
    assert all((folder / name).stat().st_size > 100 for name in names if not name.endswith(".txt"))
    assert (folder / "fig-warm.txt").read_text() == "How warm it was.\n"
    drawn = pd.read_csv(folder / "fig-warm.csv")
    assert drawn["series"].tolist() == ["seed 0"] * 3 + ["seed 1"] * 3
    assert figures.figure_data(files, files.config.figures[0]).caption == "How warm it was."


def test_a_paper_has_its_column_in_runs_csv(study: Study, tmp_path: Path) -> None:
    models = {"popularity": study.catalog.model("popularity")}
    frame = run_records(study.runs, models, tmp_path, {"synthetic": "d"})
    assert frame["warmest"].tolist() == [3.0, 4.0]
    assert list(frame)[-2:] == ["params", "swept"]


def test_the_workflow_knows_its_files(study: Study, tmp_path: Path) -> None:
    plan = planning.load(ROOT, {"study": str(tmp_path / "w.yaml")}, [])
    assert plan.numbers("w") == ["results/studies/w/warmth.csv", "results/studies/w/heat.csv"]
    assert len(plan.gathered("w", "warmth")) == 2
    (target,) = plan.gathered("w", "heat")
    assert re.fullmatch(r"results/measured/heat\.[0-9a-f]{10}\.csv", target)  # it sets an option
    name = target.removeprefix("results/measured/").removesuffix(".csv")
    assert plan.measure_params(name) == ["heat", '{"degrees":30}', "cpu"]
    assert plan.measure_inputs(name) == []


def test_what_a_job_measured_is_gathered_under_the_name_of_the_figure(study: Study, tmp_path: Path) -> None:
    kind, (target,) = registry.figure("heat"), registry.targets(study, study.config.figures[1])
    job = registry.Job([], {"degrees": 30}, "cpu", 1, study.catalog.model)
    place = tmp_path / "measured" / f"{target.name}.csv"
    place.parent.mkdir()
    kind.source.measure(job).to_csv(place, index=False)
    gather(study, "heat", tmp_path)
    written = (tmp_path / "studies" / "w" / "heat.csv").read_text()
    assert written.splitlines() == ["figure,place,heat", "hot,a,31"]


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(("part", "kind"), [("figures", "enrgy"), ("tables", "snrr")])
def test_an_unknown_kind_is_an_error_that_lists_those_there_are(part: str, kind: str) -> None:
    near = {"figures": "energy", "tables": "snr"}[part]
    listed = {
        "figures": "sensitivity.*learning-curves.*bands.*energy.*snr",
        "tables": "metrics, runtime, activity, datasets.*inference.*snr",
    }
    changed = STUDY | {"figures": [], part: [{"name": "x", "title": "X", "kind": kind}]}
    message = rf"{part}\[0\]\.kind.*'{kind}'; known: {listed[part]}.*did you mean '{near}'"
    with pytest.raises(ConfigError, match=message):
        validate(StudyConfig, changed, "w.yaml")


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("inference", {"user": [1]}, "have no option 'user'; they have .*did you mean 'users'"),
        ("inference", {"users": 5}, "must be like its default"),
        ("timing", {"users": [5]}, "have no option 'users'; they have none"),
    ],
)
def test_a_wrong_option_of_a_figure_is_an_error(kind: str, options: dict, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        FigureConfig(name="x", title="X", kind=kind, options=options)


@pytest.mark.parametrize(
    ("kind", "keys", "expected"),
    [
        ("timing", {"metric": "recall"}, "does not use `metric`; it takes group, model, datasets, caption"),
        ("forest", {"param": "rank"}, "does not use `param`; it takes group, model, datasets, protocol"),
        ("published", {"group": "main"}, "does not use `group`; it takes datasets, caption"),
        ("complexity", {"datasets": ["a"]}, "does not use `datasets`; it takes options, caption"),
        ("snr", {"k": 20}, "does not use `k`; it takes group, model, datasets, caption"),
    ],
)
def test_a_key_that_a_kind_of_figure_does_not_use_is_an_error(kind: str, keys: dict, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        FigureConfig(name="x", title="X", kind=kind, **keys)
    whole = FigureConfig(name="x", title="X", kind=kind).model_dump()
    assert FigureConfig(**whole).kind == kind, "study.json holds every key, most of them at their default"


def test_a_module_that_cannot_be_imported_is_named(paper: Callable[[str, str], None]) -> None:
    paper("broken", "import nowhere_at_all")
    with pytest.raises(ConfigError, match=r"papers/broken\.py cannot be imported .*nowhere_at_all"):
        registry.figures()


def test_a_name_cannot_be_taken_twice(paper: Callable[[str, str], None]) -> None:
    paper("toy", TOY)
    paper("other", TOY)
    with pytest.raises(ConfigError, match="a FigureKind 'warmth' is there already"):
        registry.figures()


def test_general_kinds_are_those_that_can_be_drawn() -> None:
    assert set(figures.GENERIC) == set(registry.GENERIC_FIGURES)


# ------------------------------------------------------------------------------------ code


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (('degrees"] + OFFSET', 'degrees"] - OFFSET'), "measure"),
        (("OFFSET = 1", "OFFSET = 2"), "measure"),  # what it uses counts
        (("How warm", "How very warm"), "data"),
        (('"it is cold"', '"nothing"'), "data"),
        (('record["log"]', 'record.get("log")'), "rows"),
        (('"""A fourth paper."""', '"""The fourth paper."""'), ""),
        (("It was warm.", "It was hot."), "told"),
    ],
)
def test_an_edit_changes_the_hash_of_what_uses_it_alone(
    paper: Callable[[str, str], None], edit: tuple[str, str], changed: str
) -> None:
    names, found = ("measure", "data", "rows", "told"), []
    plain = TOY.partition("\nregister(")[0]
    assert edit[0] in plain
    for number, text in enumerate((plain, plain.replace(*edit, 1))):
        paper(f"toy{number}", text)
        registry.load()
        module = sys.modules[f"recspectra.papers.toy{number}"]
        found.append({name: function_hash(getattr(module, name)) for name in names})
    differ = {name for name in names if found[0][name] != found[1][name]}
    assert differ == ({changed} if changed else set())


@pytest.mark.parametrize(
    "text",
    [
        "if False:\n    HEAT = 5\nelse:\n    HEAT = 1",
        "if 1 > 2:\n    HEAT = 5\nelse:\n    HEAT = 0",  # what decides counts
        "try:\n    def HEAT(): return 1\nexcept ImportError:\n    pass",
        "try:\n    import nowhere_at_all\nexcept ImportError:\n    HEAT = 1",
        "import contextlib\nwith contextlib.suppress(KeyError):\n    if True:\n        class HEAT: x = 1",
        "for HEAT in (1,):\n    pass",
        "match [1]:\n    case [HEAT]:\n        pass",
        "async def HEAT(): return 1",
        "HEAT = {}\nHEAT['a'] = 1",
        "HEAT = {}\nHEAT.setdefault('a', 1)",
        "def HEAT(): return HEAT.x\nHEAT.x = 1",
        "def warm():\n    global HEAT\n    HEAT = 1\nwarm()",
        "HEAT = 1\nHEAT = 0",  # in the other order
        "HEAT = {}\ndef add(f):\n    HEAT[f.__name__] = f\n    return f\n@add\ndef warm(): return 1",
        "HEAT = []\ndef add(x): HEAT.append(x)\nadd(1)",
        "HEAT = []\ndef put(x): HEAT.append(x)\ndef add(x): put(x)\nadd(1)",
        "class HEAT:\n    def add(f): return f\n@HEAT.add\ndef warm(): return 1",
        "def HEAT(): return globals()['warm']\ndef warm(): return 1",
    ],
)
def test_whatever_gives_a_name_its_value_counts(paper: Callable[[str, str], None], text: str) -> None:
    edited = "HEAT = 0\nHEAT = 1" if text == "HEAT = 1\nHEAT = 0" else text.replace("1", "3", 1)
    found, beside = [], []
    for number, part in enumerate((text, edited)):
        paper(f"heat{number}", f"{part}\n\ndef measure(job): return HEAT\n\ndef beside(job): return 1\n")
        registry.load()
        module = sys.modules[f"recspectra.papers.heat{number}"]
        found.append(function_hash(module.measure))
        beside.append(function_hash(module.beside))
    assert found[0] != found[1] and beside[0] == beside[1]
