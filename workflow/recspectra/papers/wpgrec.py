"""WPGRec: the bands that its gate sees, the cost of a step by size, and how its runs were trained.

Eq. 17 counts |U| B T d for summaries, B L_g K |E| d for propagation, N d^2 for projections and
b |I| d for the softmax of a batch of b; Eq. 18 counts L_g (K + 1) d^2 for filters, |E| for the
graph and L_g N B d for the rows of all nodes. What is measured is one step of `summaries: exact`
and `propagation: layers`, which does mainly these things: all users are summarised, all nodes
filtered layer by layer, one batch is scored and gradients flow back. (In studies the same filters
are collapsed to one polynomial, which is faster.) Data are random; what is done does not depend
on their values.

Each point has a process of its own, because a process never gives its peak of memory back.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import statistics
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from recspectra.config.model import ModelConfig
from recspectra.registry import (
    Doubt,
    FigureKind,
    Job,
    Notes,
    OfJobs,
    OfRuns,
    RunColumns,
    TableKind,
    register,
)

if TYPE_CHECKING:
    import pandas as pd

    from recspectra.config.model import PlannedRun
    from recspectra.config.planned import Study
    from recspectra.config.study import FigureConfig, TableConfig
    from recspectra.data.interactions import Interactions
    from recspectra.reporting.figures.base import FigureData
    from recspectra.reporting.published import Published
    from recspectra.reporting.results import StudyResults
    from recspectra.reporting.table import Table

# ------------------------------------------------------------------ time and memory of a step

COLUMNS = ("axis", "size", "measure", "measured", "formula", "device", "threads")
AXES = {"users": "|U|, users", "bands": "B, bands", "steps": "T, length of histories", "edges": "|E|, edges"}
BATCH = 128


@dataclass(frozen=True)
class Sizes:
    """What a point is measured at.

    Attributes
    ----------
    users, items : int
        |U| and |I|.
    steps : int
        T, most recent items that are summarised.
    length : int
        Items of each user in the graph; |E| is users x length.
    levels : int
        l; there are B = 2^l bands.
    """

    users: int = 500
    items: int = 1000
    steps: int = 16
    length: int = 128
    levels: int = 2

    @property
    def edges(self) -> int:
        """|E|."""
        return self.users * self.length

    @property
    def bands(self) -> int:
        """B."""
        return 2**self.levels


def points(base: Sizes, factors: list[int]) -> list[tuple[str, int, Sizes]]:
    """Return (axis, size, sizes) with one size multiplied by each factor, the others as in `base`.

    More users at the same number of edges are users with shorter histories.
    """
    found = []
    for factor in factors:
        users = base.users * factor
        found.append(("users", users, replace(base, users=users, length=base.length // factor)))
    found += [("bands", 2**level, replace(base, levels=level)) for level in range(len(factors))]
    for factor in factors:
        found.append(("steps", base.steps * factor, replace(base, steps=base.steps * factor)))
    for factor in factors:
        grown = replace(base, length=base.length * factor)
        found.append(("edges", grown.edges, grown))
    return found


def time_formula(sizes: Sizes, p: dict[str, Any]) -> float:
    """Return what Eq. 17 counts, up to a constant."""
    d, nodes = p["dimensions"], sizes.users + sizes.items
    summaries = sizes.users * sizes.bands * sizes.steps * d
    propagation = sizes.bands * p["graph_layers"] * p["order"] * sizes.edges * d
    return summaries + propagation + nodes * d**2 + BATCH * sizes.items * d


def memory_formula(sizes: Sizes, p: dict[str, Any]) -> float:
    """Return what Eq. 18 counts, up to a constant."""
    d, nodes = p["dimensions"], sizes.users + sizes.items
    filters = p["graph_layers"] * (p["order"] + 1) * d**2
    return filters + sizes.edges + p["graph_layers"] * nodes * sizes.bands * d


def costs(
    config: ModelConfig, base: Sizes, factors: list[int], repetitions: int, device: str, threads: int
) -> pd.DataFrame:
    """Measure seconds and megabytes of a step at growing sizes.

    Parameters
    ----------
    config : ModelConfig
        Of WPGRec.
    base : Sizes
        The smallest sizes.
    factors : list of int
        What users, steps and edges are multiplied by; there are as many depths of the tree.
    repetitions : int
        Steps that the median is taken of; one more warms up.
    device : str
        `cpu` or `cuda`.
    threads : int
        Threads of torch.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; `measure` is `seconds` or `megabytes` (peak beyond what is loaded before).
    """
    import pandas as pd

    rows = []
    for axis, size, sizes in points(base, factors):
        params = config.resolve({"max_len": sizes.steps, "levels": sizes.levels, "wavelet": "haar",
                                 "summaries": "exact", "propagation": "layers", "tokens": 0})  # fmt: skip
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            found = pool.apply(
                measured, (config.model_dump(), params, asdict(sizes), repetitions, device, threads)
            )
        formulas = {"seconds": time_formula(sizes, params), "megabytes": memory_formula(sizes, params)}
        rows += [[axis, size, name, found[name], formulas[name], device, threads] for name in formulas]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def measured(
    config: dict[str, Any], params: dict[str, Any], sizes: dict[str, int], repetitions: int, device: str,
    threads: int,
) -> dict[str, float]:  # fmt: skip
    """Return the median seconds of a step and the megabytes that it takes at most."""
    import torch

    from recspectra.training.device import generator as seeded

    torch.set_num_threads(threads)
    system, batch = _ready(ModelConfig.model_validate(config), params, Sizes(**sizes), device)
    before, seconds = _peak_megabytes(device), []
    for _ in range(repetitions + 1):
        started = time.perf_counter()
        generator = seeded(system.device, 0)
        system.batch_loss(batch, generator, exact=True).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        system.module.zero_grad(set_to_none=True)
    return {"seconds": statistics.median(seconds[1:]), "megabytes": _peak_megabytes(device) - before}


def _ready(config: ModelConfig, params: dict[str, Any], sizes: Sizes, device: str) -> tuple[Any, Any]:
    """Return a model with random weights and a batch of it."""
    import numpy as np
    import torch

    from recspectra.recommender import Run, Task, create

    train, system = random_rows(sizes), create(config, params)
    task = Task(train, None, True)
    system.device, system.shape = torch.device(device), np.array(train.shape, dtype=np.int64)
    system.prepare(task, Run(0, device))
    torch.manual_seed(0)
    system.module = system.build().to(system.device)
    generator = torch.Generator().manual_seed(0)
    return system, next(iter(system.batches(task)(generator)))


def random_rows(sizes: Sizes) -> Interactions:
    """Return users with `length` items each, at equal distances from a random start."""
    import numpy as np

    from recspectra.data.interactions import Interactions

    rng = np.random.default_rng(0)
    start = rng.integers(sizes.items, size=(sizes.users, 1))
    step = max(1, sizes.items // sizes.length)
    items = (start + step * np.arange(sizes.length)) % sizes.items
    indptr = np.arange(sizes.users + 1, dtype=np.int64) * sizes.length
    return Interactions(indptr, items.ravel().astype(np.int32), None, sizes.items)


def _peak_megabytes(device: str) -> float:
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1024.0**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def measure_costs(job: Job) -> pd.DataFrame:
    """Return the costs at the sizes that a figure's options name, columns `COLUMNS`."""
    options = job.options
    base = Sizes(options["users"], options["items"])
    return costs(job.model(MODEL), base, options["factors"], options["repetitions"], job.device, job.threads)


def cost_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return time and memory of a training step against each size, beside what the formula says.

    Both are relative to the smallest size.
    """
    import pandas as pd

    from recspectra.reporting.figures.base import LINES, drawn

    rows = rows.dropna(subset=["measured", "formula"])
    first = rows.groupby(["axis", "measure"], sort=False)[["measured", "formula"]].transform("first")
    panel = rows["measure"] + " against " + rows["axis"].map(AXES).fillna(rows["axis"])
    parts = [
        pd.DataFrame({"panel": panel, "series": name, "x": rows["size"], "y": rows[column] / first[column]})
        for name, column in (("measured", "measured"), ("formula of the paper", "formula"))
    ]
    frame = pd.concat(parts).assign(se=float("nan"), seeds=1)[LINES]
    order = {name: i for i, name in enumerate(dict.fromkeys(panel))}
    frame = frame.sort_values("panel", key=lambda names: names.map(order), kind="stable")
    base = rows.groupby("measure", sort=False)["measured"].min()
    caption = (
        "One training step of WPGRec (all users summarised, all nodes filtered, 128 targets, gradients) on "
        f"random data, {', '.join(rows['device'].unique())}; the smallest takes "
        f"{base.get('seconds', math.nan):.3g} s and {base.get('megabytes', math.nan):.3g} MB beyond what is "
        "loaded."
    )
    return drawn(frame, caption, "size", "relative to the smallest size", "no cost is on disk")


GROWTH_COLUMNS = ("measure", "axis", "smallest", "largest", "measured", "formula")
SLACK = 1.1  # of a growth beyond the formula's, for what is timed


def growth_table(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return by how much cost and formula grow from the smallest to the largest size of each axis."""
    import pandas as pd

    rows = files.numbers("complexity", table).dropna(subset=["measured", "formula"])
    lines = []
    for (measure, axis), part in rows.groupby(["measure", "axis"], sort=False):
        first, last = (part.loc[at, ["size", "measured", "formula"]] for at in
                       (part["size"].idxmin(), part["size"].idxmax()))  # fmt: skip
        growth = [last[name] / first[name] for name in ("measured", "formula")]
        lines.append([measure, axis, first["size"], last["size"], *growth])
    return pd.DataFrame(lines, columns=list(GROWTH_COLUMNS))


def lay_out_growth(
    files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame
) -> Table:
    """Return the table as it is printed, with a sentence on Section 3.7."""
    from recspectra.reporting.table import plain_table

    header = ["cost", "against", "measured grows by", "formula grows by", "as the formula allows"]
    fits = [row.measured <= SLACK * row.formula for row in frame.itertuples()]
    rows = [
        [r.measure, f"{AXES.get(r.axis, r.axis)} ({r.smallest:,.0f} to {r.largest:,.0f})",
         f"x {r.measured:.2f}", f"x {r.formula:.2f}", "yes" if fit else "no"]
        for r, fit in zip(frame.itertuples(), fits, strict=True)
    ]  # fmt: skip
    told = (
        f"A step's cost grows no faster than the formula in {sum(fits)} of {len(fits)} cases (10 % are "
        "allowed for timing): the formulas are upper bounds up to a constant."
    )
    return plain_table(header, rows, {0, 1, 4}, table.title, table.caption, [told], keys=2)


# ------------------------------------------------------------------------- bands of the gate

MODEL = "wpgrec"
BAND_COLUMNS = ("dataset", "model", "title", "variant", "group", "seed", "fit", "low", "high", "quantity",
                "mean", "sd")  # fmt: skip
# name in the log of a fit -> in a figure
QUANTITIES = {"energy": "share of energy", "gate": "gate weight", "flatness": "spectral flatness"}


def band_runs(study: Study, figure: FigureConfig) -> list[PlannedRun]:
    """Return the runs of a figure's group, model and datasets."""
    return [
        r for r in study.runs
        if figure.group in (None, r.group)
        and figure.model in (None, r.run.model)
        and r.dataset in (figure.datasets or [r.dataset])
    ]  # fmt: skip


def band_rows(study: Study, planned: PlannedRun, record: dict[str, Any]) -> pd.DataFrame:
    """Return energy, flatness and gate weight of each band of a run, columns `BAND_COLUMNS`."""
    import pandas as pd

    title = study.catalog.model(planned.run.model).title
    labels = (planned.dataset, planned.run.model, title, planned.variant, planned.group, planned.seed,
              planned.run.fit)  # fmt: skip
    rows = [
        (*labels, band["low"], band["high"], name, band[name], band[f"{name}_sd"])
        for band in record.get("log", {}).get("bands", [])
        for name in sorted(QUANTITIES)
    ]
    return pd.DataFrame(rows, columns=list(BAND_COLUMNS))


def band_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return energy, gate weight and flatness of each wavelet packet band, a panel a dataset and variant."""
    from recspectra.reporting.figures.base import LINES, drawn

    titles = rows["dataset"].map(lambda name: files.titles.get(name, name))
    variant = rows["variant"].where(rows["variant"] != "default", "")
    rows = rows.assign(
        panel=[f"{t}, {v}" if v else t for t, v in zip(titles, variant, strict=True)],
        series=rows["quantity"].map(QUANTITIES),
        x=[f"{low:.3g} to {high:.3g}" for low, high in zip(rows["low"], rows["high"], strict=True)],
    )
    groups = rows.groupby(["panel", "low", "x", "series"], sort=False)
    frame = groups.agg(y=("mean", "mean"), se=("sd", "mean"), seeds=("seed", "nunique")).reset_index()
    order = {name: i for i, name in enumerate(dict.fromkeys(rows["panel"]))}
    series = {name: i for i, name in enumerate(QUANTITIES.values())}
    frame = frame.assign(place=frame["panel"].map(order), rank=frame["series"].map(series))
    frame = frame.sort_values(["place", "low", "rank"], kind="stable")[LINES]
    caption = (
        "What the gate sees and gives in each band of the wavelet packets, from slow to fast changes of a "
        "history: the band's share of the energy, its weight (both sum to 1) and its spectral flatness "
        "(1: noise, 0: a single frequency). Bars are means, whiskers standard deviations over users."
    )
    axes = ("frequency (cycles per interaction)", "mean over users")
    return drawn(frame, caption, *axes, "no finished run of this figure has bands")


# ------------------------------------------------------------------- how a run was trained

WAYS = {
    "cached": "with the summaries of all other users as they were at the start of each epoch",
    "exact": "with the summaries of all users made anew for every batch",
}


def way_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return how a run made its summaries, and the least cosine of its gradients with exact ones."""
    log = record.get("log", {})
    points = log.get("gradient_cosine")
    least = min(value for _, value in points) if points else None
    return {"mode": log.get("summaries"), "gradient_cosine": least}


LEAST_COSINE = 0.9  # of approximate with exact gradients, for a run to stand for its model


def rough_gradients(runs: pd.DataFrame) -> str:
    """Return that runs were trained with gradients too far from exact ones, and how far; or ""."""
    least = runs["gradient_cosine"].min()
    return f"trained with approximate gradients (cosine {least:.2f})" if least < LEAST_COSINE else ""


def way_notes(
    files: StudyResults, groups: list[str], datasets: list[str], fits: list[str] | None
) -> list[str]:
    """Return a sentence for each model of a table and each way that its runs were trained in.

    Where gradients of the cheaper way were compared with exact ones, it gives the least cosine.
    """
    from recspectra.reporting.results import select_runs

    runs = select_runs(files, groups, datasets, fits)
    notes = []
    for (title, mode), rows in runs[runs["mode"] != ""].groupby(["title", "mode"], sort=False):
        places = ", ".join(files.titles.get(d, d) for d in dict.fromkeys(rows["dataset"]))
        least = rows["gradient_cosine"].min()
        cosine = ""
        if least == least:  # NaN where none was compared
            floor = math.floor(100 * least) / 100
            cosine = f"; the cosine of its gradients with exact ones was {floor:.2f} or more"
        notes.append(f"{title} was trained {WAYS.get(mode, mode)} ({mode}; {places}){cosine}.")
    return notes


register(
    FigureKind(
        "complexity",
        columns=COLUMNS,
        numbers=("size", "measured", "formula"),
        source=OfJobs(
            measure_costs,
            options={"users": Sizes.users, "items": Sizes.items, "factors": [1, 2, 4, 8], "repetitions": 3},
            on_device=True,
            models=(MODEL,),
        ),
        data=cost_data,
        render="log-log",
        about="Time and memory of a training step, against size.",
        keys=(),
    ),
    TableKind(
        "complexity",
        columns=GROWTH_COLUMNS,
        numbers=GROWTH_COLUMNS[2:],
        build=growth_table,
        lay_out=lay_out_growth,
        figure="complexity",
        about="How cost of a training step and its formula grow with size.",
    ),
    FigureKind(
        "bands",
        columns=BAND_COLUMNS,
        numbers=("low", "high", "mean", "sd"),
        source=OfRuns(band_runs, band_rows),
        data=band_data,
        render="columns",
        of_fits=True,
        about="What a gate over wavelet bands sees and gives.",
    ),
    RunColumns("summaries", ("mode", "gradient_cosine"), ("gradient_cosine",), way_of),
    Notes("summaries", way_notes),
    Doubt("summaries", rough_gradients),
)
