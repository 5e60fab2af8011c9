"""A results folder with six runs of two studies, and what `make redo` takes away of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recspectra.config.catalog import Catalog
from recspectra.config.model import RunConfig, TuneConfig
from recspectra.files import write_json, write_text
from recspectra.running import locks
from recspectra.running.command import Workflow
from recspectra.running.redo import redo

ROOT = Path(__file__).resolve().parents[3]
CATALOG = Catalog(ROOT)
FAILS = Workflow(["false"])
HEAD = "dataset,model,variant,key,seed\n"
SEARCH = TuneConfig(
    model="ease", class_name="EASE", params={}, search={"regularization": [1.0]}, trials=2, seed=0
)
PLAIN = RunConfig(model="mf", class_name="MF", params={})
RUNS = {
    "popular": ("synthetic", RunConfig(model="popularity", class_name="Popularity", params={}), 0, "ok"),
    "mf-0": ("synthetic", PLAIN, 0, "timeout"),
    "mf-1": ("synthetic", PLAIN, 1, "ok"),
    "mf-both-0": ("synthetic", PLAIN.model_copy(update={"fit": "train+valid"}), 0, "skipped"),
    "tuned": ("synthetic", RunConfig(model="ease", class_name="EASE", params={}, tune=SEARCH), 0, "ok"),
    "elsewhere": ("ml-1m", PLAIN, 0, "ok"),
}
SOURCE = CATALOG.dataset("ml-1m").source
RAW = f"raw/{SOURCE.name}/{SOURCE.files[0].path}"
SHOWN = {"quickstart": ["popular", "mf-0", "mf-1", "mf-both-0", "tuned"], "mine": ["elsewhere", "popular"]}
FILES = [
    "metrics.csv",
    "runs.csv",
    "table-main.md",
    "fig-x.svg",
    "claims.csv",
    "worlds.md",
    "audit.csv",
]  # of a study

CHOICE = {"scale": "paper", "trials": 3, "minutes": 2.5, "models": ["mf", "007"]}
CHOSEN = ["scale=paper", "trials=3", "minutes=2.5", "datasets=[synthetic]", "models=[mf,007]"]


def folder(name: str) -> Path:
    dataset, run, seed, _ = RUNS[name]
    return Path("results/runs") / dataset / run.model / run.key / f"seed-{seed}"


def write_study(place: Path, names: list[str]) -> None:
    for dataset in {RUNS[name][0] for name in names}:
        rows = [
            f"{d},{r.model},default,{r.key},{s}\n" for d, r, s, _ in (RUNS[n] for n in names) if d == dataset
        ]
        write_text(place / "parts" / f"{dataset}.csv", HEAD + "".join(rows))
        write_text(place / "per_user" / f"{dataset}.parquet", "")
        write_text(place / "worlds" / f"{dataset}.parquet", "")
    for name in FILES:
        write_text(place / name, "")
    write_text(place / "notes.txt", "a note of the user")
    datasets = sorted({RUNS[name][0] for name in names})
    own = Path(f"{place.name}.yaml").resolve()  # of `quickstart` there is none: it is the project's
    if place.name == "mine":
        write_text(own, "name: mine\n")
    description = {"name": place.name, "datasets": datasets, "choice": {}, "origin": str(own)}
    write_json(place / "study.json", description)


def files() -> set[str]:
    return {str(p) for p in Path("results").rglob("*") if p.is_file() and p.name != locks.NAME}


def called() -> list[list[str]]:
    path = Path("called")
    return [line.split("\0")[:-1] for line in path.read_text().splitlines()] if path.exists() else []


def mine() -> list[str]:
    """The call that runs the user's own study again: with its file and all of its datasets."""
    words = [f"study={Path('mine.yaml').resolve()}", "datasets=[ml-1m,synthetic]"]
    return ["--cores", "1", "mine", "--config", *words]


def forgets(command: list[str], what: str, config: dict[str, str] | None = None, **options: Any) -> set[str]:
    """Redo something; return the files that are gone."""
    before = files()
    assert redo(what, Path("results"), CATALOG, Workflow(command, config or {}), **options) == 0
    return before - files()


def run_files(*names: str) -> set[str]:
    """The files of some runs and their checkpoints."""
    found = set()
    for name in names:
        dataset, run, seed, _ = RUNS[name]
        found |= {str(folder(name) / file) for file in ("run.json", "rankings.npz")}
        found.add(f"results/checkpoints/{dataset}/{run.model}/{run.key}-abc-{seed}/c")
    return found


def shown(study: str, *datasets: str) -> set[str]:
    """What a study that showed a run of some datasets loses."""
    kinds = ("parts/{}.csv", "per_user/{}.parquet", "worlds/{}.parquet")
    names = [kind.format(d) for kind in kinds for d in datasets]
    names += [*FILES, "study.json"]
    return {f"results/studies/{study}/{name}" for name in names} | {"results/report/index.html"}
