"""S-Diff: its noise schedules (SNR), and the time to score one batch of users by size (Figure 5).

For the times nothing is trained: a model is built with random weights, its eigenvectors are the
orthonormal factor of a random matrix and the histories are random. What is done in
scoring does not depend on the values of any of them, only on their sizes.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from recspectra.config.model import ModelConfig, RunConfig, spectra_of
from recspectra.registry import FigureKind, Job, OfJobs, OfRuns, TableKind, register

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from recspectra.config.catalog import Study
    from recspectra.config.model import PlannedRun
    from recspectra.config.study import FigureConfig, TableConfig
    from recspectra.data.interactions import Interactions
    from recspectra.layers.trained import Trained
    from recspectra.reporting.figures.base import FigureData
    from recspectra.reporting.published import Published
    from recspectra.reporting.results import StudyResults
    from recspectra.reporting.table import Table
    from recspectra.spectral.spectrum import Spectrum

# ------------------------------------------------------------------------ seconds of a batch

COLUMNS = ("model", "axis", "users", "items", "part", "seconds", "device", "threads")
SIZES = {
    "models": ["sdiff", "diffrec"],
    "users": [1000, 3000, 10_000, 30_000, 100_000],
    "items": [1000, 3000, 10_000, 30_000, 100_000],
    "fixed_users": 1000,  # while items grow
    "fixed_items": 3000,  # while users grow
    "repetitions": 7,
}
BATCH = 100
HISTORY = 50  # interactions of a user on average
PER_USER = 10  # the same, of users outside the batch that is timed


def measure_inference(job: Job) -> pd.DataFrame:
    """Return the times of the models and sizes that a figure's options name, columns `COLUMNS`."""
    from recspectra.runtime import limit_threads

    limit_threads(job.threads)
    options = dict(job.options)
    configs = [job.model(name) for name in options.pop("models")]
    return inference_times(configs, **options, device=job.device)


def inference_times(
    configs: list[ModelConfig], users: list[int], items: list[int], fixed_users: int, fixed_items: int,
    repetitions: int, device: str = "cpu",
) -> pd.DataFrame:  # fmt: skip
    """Time systems at growing sizes.

    Parameters
    ----------
    configs : list of ModelConfig
        Trained models, with their default parameters.
    users, items : list of int
        Sizes of the two axes.
    fixed_users, fixed_items : int
        The other size, while one axis grows.
    repetitions : int
        Batches that the median is taken of; one more warms up.
    device : str
        `cpu` or `cuda`.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`; a row for each part of a model, and one for the whole, `total`.
    """
    import pandas as pd
    import torch

    sizes = [("users", m, fixed_items) for m in users] + [("items", fixed_users, n) for n in items]
    rows = []
    for axis, m, n in sizes:
        train = random_interactions(m, n)
        for config in configs:
            system = untrained(config, train, device)
            for part, seconds in medians(system, train, repetitions).items():
                rows.append([config.name, axis, m, n, part, seconds, device, torch.get_num_threads()])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def random_interactions(users: int, items: int, seed: int = 0) -> Interactions:
    """Return synthetic histories: `BATCH` long ones first, then short ones.

    Parameters
    ----------
    users, items : int
        Sizes of the matrix.
    seed : int
        Seed of the generator.
    """
    import numpy as np

    from recspectra.data.interactions import Interactions
    from recspectra.data.synthetic import generate

    first, length = min(BATCH, users), max(1, min(HISTORY, items // 4))
    table = generate(first, items, first * length, min_length=min(PER_USER, length), seed=seed)
    order = np.argsort(table.users, kind="stable")
    rest = _rows_without_repeats(np.random.default_rng(seed), users - first, items)
    lengths = np.full(users, PER_USER)
    lengths[:first] = np.bincount(table.users, minlength=first)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    picked = np.concatenate([table.items[order], rest.ravel()]).astype(np.int32)
    return Interactions(indptr, picked, None, items)


def _rows_without_repeats(rng: np.random.Generator, rows: int, items: int) -> np.ndarray:
    """Return `PER_USER` items of each row: a random start, then equal steps."""
    import numpy as np

    start = rng.integers(items, size=(rows, 1))
    return (start + np.arange(PER_USER) * (items // PER_USER)) % items


def untrained(config: ModelConfig, train: Interactions, device: str = "cpu", seed: int = 0) -> Trained:
    """Return a model as it is before its first step of training, ready to score.

    Parameters
    ----------
    config : ModelConfig
        Of a class derived from `Trained`; a `rank` above the number of items is lowered to it.
    train : Interactions
        Its training data; only sizes and degrees matter.
    device : str
        `cpu` or `cuda`.
    seed : int
        Seed of the random weights and eigenvectors.

    Raises
    ------
    TypeError
        The model is none of the trained ones.
    """
    import numpy as np
    import torch

    from recspectra.layers.trained import Trained
    from recspectra.recommender import Run, Task, create

    params = config.resolve({})
    if "rank" in params:
        params["rank"] = min(params["rank"], train.n_items)
    system = create(config, params)
    if not isinstance(system, Trained):
        raise TypeError(f"model '{config.name}' has no weights that could be random")
    needs = spectra_of(config, RunConfig(model=config.name, params=params))
    spectra = {name.partition("@")[0]: random_spectrum(train.n_items, rank, seed) for name, rank in needs}
    torch.manual_seed(seed)
    system.device, system.shape = torch.device(device), np.array(train.shape, dtype=np.int64)
    system.prepare(Task(train, None, True, spectra), Run(seed, device))
    system.module = system.build().to(system.device).eval()
    with torch.no_grad():
        system.refresh()
    return system


def random_spectrum(size: int, rank: int, seed: int = 0) -> Spectrum:
    """Return random orthonormal vectors under eigenvalues that fall evenly from 1 to 0."""
    import numpy as np

    from recspectra.spectral.spectrum import Spectrum

    rank = min(rank, size)
    normal = np.random.default_rng(seed).standard_normal((size, rank), dtype=np.float32)
    vectors = np.linalg.qr(normal)[0]
    return Spectrum(np.linspace(1.0, 0.0, rank), vectors, np.zeros(rank), 0.0, "random", 0.0)


def medians(system: Trained, train: Interactions, repetitions: int) -> dict[str, float]:
    """Return median seconds of a batch by part of the model, and in `total`.

    Parts are the methods that the class names in `parts` (part -> method); a model
    without has its total alone. The history is handed over as a sparse matrix.
    """
    import numpy as np

    from recspectra.recommender import History
    from recspectra.spectral.places import host

    users = np.arange(min(BATCH, train.n_users))
    history = History.of(train, users)
    host(system.score(users, history))
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(repetitions):
        with stopwatches(system) as seconds:
            started = time.perf_counter()
            host(system.score(users, history))  # a GPU has finished once they are here
            seconds["total"] = time.perf_counter() - started
        for part, value in seconds.items():
            found[part].append(value)
    return {part: statistics.median(values) for part, values in found.items()}


@contextmanager
def stopwatches(system: Any) -> Iterator[dict[str, float]]:
    """Measure a model's parts inside the block; yields their seconds, summed over calls."""
    seconds: dict[str, float] = defaultdict(float)
    parts: dict[str, str] = getattr(system, "parts", {})
    for part, method in parts.items():
        setattr(system, method, partial(_timed, getattr(system, method), seconds, part, system.device))
    try:
        yield seconds
    finally:
        for method in parts.values():
            delattr(system, method)


def _timed(
    function: Callable[..., Any], seconds: dict[str, float], part: str, device: torch.device, *args: Any
) -> Any:
    started = time.perf_counter()
    result = function(*args)
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
    seconds[part] += time.perf_counter() - started
    return result


def inference_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return the seconds of one batch against the numbers of users and of items, part by part."""
    from recspectra.reporting.figures.base import LINES, drawn
    from recspectra.reporting.results import machines

    rows = rows.dropna(subset="seconds")
    rows = rows[rows["model"] == figure.model] if figure.model else rows
    words = {"users": "more users, same items", "items": "more items, same users"}
    size = rows["items"].where(rows["axis"] == "items", rows["users"]).astype("int64")
    frame = rows.assign(
        panel=rows["axis"].map(words).fillna(rows["axis"]), series=rows["model"] + ", " + rows["part"],
        x=size, y=rows["seconds"], se=float("nan"), seeds=1,
    )[LINES]  # fmt: skip
    caption = f"Median seconds to score one batch of 100 users, random weights, on {machines(rows)}."
    axes = ("number of users or items", "seconds for a batch of 100 users")
    return drawn(frame, caption, *axes, "no inference time is on disk")


# -------------------------------------------------------------------------- noise schedules

MODEL = "sdiff"  # where a figure names no model
STEPS = 1000


def snr_runs(study: Study, figure: FigureConfig) -> list[PlannedRun]:
    """Return one run per dataset."""
    return study.examples(figure, MODEL, lambda planned: "")


def snr_points(study: Study, planned: PlannedRun, record: dict[str, Any]) -> pd.DataFrame:
    """Return log SNR against diffusion step for every schedule, at a run's frequencies."""
    import numpy as np

    from recspectra.reporting.curves import points
    from recspectra.spectral.schedules import SCHEDULES, log_snr, schedule

    log, p = record.get("log", {}), record["params"]
    if "frequencies" not in log:
        return points(planned, {})
    steps, frequencies = np.arange(1, STEPS + 1), np.array(log["frequencies"])
    times = steps / STEPS * p["tau"]
    levels = {name: schedule(name, times, frequencies, p["alpha_min"], p["sigma_max"]) for name in SCHEDULES}
    return points(planned, {name: (steps, log_snr(*level)) for name, level in levels.items()})


def snr_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return log SNR against the diffusion step."""
    from recspectra.reporting.curves import curve_data

    caption = "Logarithm of the signal-to-noise ratio at each diffusion step."
    return curve_data(files, rows, caption, "diffusion step", "log SNR (natural logarithm)")


SNR_COLUMNS = ("dataset", "schedule", "last", "mean", "published")
SNR_NOTE = (
    "log SNR is the natural logarithm of mean signal power over mean noise power, both averaged over the "
    "frequencies that are kept: at the last step (t = tau), and as the mean over all steps that are drawn. "
    "The paper defines SNR for each frequency and does not say how its one number comes about."
)


def snr_table(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return one line a dataset and schedule from the points of the table's figure, columns `SNR_COLUMNS`."""
    import numpy as np

    rows = files.numbers("snr")
    rows = rows[rows["figure"] == table.figure].sort_values("x", kind="stable")
    rows = rows[rows["dataset"].isin(table.datasets)] if table.datasets else rows
    groups = rows[np.isfinite(rows["y"])].groupby(["dataset", "series"], sort=False)["y"]
    frame = groups.agg(last="last", mean="mean").reset_index().rename(columns={"series": "schedule"})
    pairs = frame[["dataset", "schedule"]].itertuples(index=False)
    return frame.assign(published=[_printed_snr(published, table, *pair) for pair in pairs])[
        list(SNR_COLUMNS)
    ]


def _printed_snr(published: Published, table: TableConfig, dataset: str, schedule: str) -> float:
    if not table.published:
        return float("nan")
    entry, values = published.table(table.published), published.values(table.published)
    theirs = {ours: name for name, ours in entry.datasets.items()}.get(dataset)
    method = entry.method_of(MODEL, f"schedule={schedule}")
    same = (values["dataset"] == theirs) & (values["method"] == method) & (values["metric"] == "log_snr")
    return float(values[same]["value"].iloc[0]) if same.any() else float("nan")


def lay_out_snr(files: StudyResults, table: TableConfig, published: Published) -> Table:
    """Return the table as it is printed, from its long form on disk."""
    from recspectra.reporting.results import read_csv
    from recspectra.reporting.table import DASH, plain_table

    path = files.folder / f"table-{table.name}.csv"
    frame = read_csv(path, SNR_COLUMNS, SNR_COLUMNS[2:], "draw the study first")
    header = ["dataset", "schedule", "log SNR at the last step", "mean over steps", "published"]
    rows = [
        [files.titles.get(dataset, dataset), schedule, *(f"{n:.2f}" if n == n else DASH for n in numbers)]
        for dataset, schedule, *numbers in frame[list(SNR_COLUMNS)].itertuples(index=False)
    ]
    return plain_table(header, rows, {0, 1}, table.title, table.caption, [SNR_NOTE], keys=2)


def draw_snr_table(files: StudyResults, table: TableConfig, published: Published) -> list[str]:
    """Write the table's files and return their names."""
    from recspectra.reporting.results import write_csv
    from recspectra.reporting.writers import write

    write_csv(files.folder / f"table-{table.name}.csv", snr_table(files, table, published))
    return write(files, table.name, lay_out_snr(files, table, published))


register(
    FigureKind(
        "inference",
        columns=COLUMNS,
        numbers=("users", "items", "seconds"),
        source=OfJobs(measure_inference, options=SIZES, on_device=True, models=("sdiff", "diffrec")),
        data=inference_data,
        render="log",
        about="Seconds of a batch of a diffusion model, against users and items.",
    ),
    FigureKind(
        "snr",
        columns=("dataset", "series", "x", "y"),
        numbers=("x", "y"),
        source=OfRuns(snr_runs, snr_points),
        data=snr_data,
        about="Signal-to-noise ratio of noise schedules, against steps.",
    ),
    TableKind(
        "snr",
        figure="snr",
        draw=draw_snr_table,
        lay_out=lay_out_snr,
        about="Signal-to-noise ratios of noise schedules.",
    ),
)
