"""S-Diff: the time to score one batch of users by size (Figure 5).

Nothing is trained: a model is built with random weights, its eigenvectors are the
orthonormal factor of a random matrix and the histories are random. What is done in
scoring does not depend on the values of any of them, only on their sizes. All models take the same
number of steps T. DiffRec is timed twice: as it is scored here, and unfolded, as its authors' program
does it, with a row of all items between two steps.
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
from recspectra.registry import FigureKind, Job, OfJobs, TableKind, register

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from recspectra.config.study import FigureConfig, TableConfig
    from recspectra.data.interactions import Interactions
    from recspectra.layers.trained import Trained
    from recspectra.recommender import History
    from recspectra.reporting.figures.base import FigureData
    from recspectra.reporting.published import Published
    from recspectra.reporting.results import StudyResults
    from recspectra.reporting.table import Table
    from recspectra.spectral.spectrum import Spectrum

# ------------------------------------------------------------------------ seconds of a batch

MODEL = "sdiff"
COLUMNS = ("model", "axis", "users", "items", "part", "seconds", "device", "threads")
UNFOLDED = "diffrec-unfolded"
SIZES = {
    "models": ["sdiff", "diffrec", UNFOLDED],
    "steps": 5,  # T of all of them, as S-Diff has it
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
    names = options.pop("models")
    configs = {name: job.model("diffrec" if name == UNFOLDED else name) for name in names}
    return inference_times(configs, **options, device=job.device)


def inference_times(
    configs: dict[str, ModelConfig], users: list[int], items: list[int], fixed_users: int, fixed_items: int,
    repetitions: int, steps: int = 0, device: str = "cpu",
) -> pd.DataFrame:  # fmt: skip
    """Time models at growing sizes.

    Parameters
    ----------
    configs : dict of ModelConfig
        Trained models by the name that they have in the result, `UNFOLDED` for DiffRec unfolded. All but
        `steps` have their default parameters.
    users, items : list of int
        Sizes of the two axes.
    fixed_users, fixed_items : int
        The other size, while one axis grows.
    repetitions : int
        Batches that the median is taken of; one more warms up.
    steps : int
        T of every model; 0 leaves each its own.
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
        for name, config in configs.items():
            params = {"steps": steps} if steps else {}
            system = untrained(config, train, device, params=params, unfold=name == UNFOLDED)
            for part, seconds in medians(system, train, repetitions).items():
                rows.append([name, axis, m, n, part, seconds, device, torch.get_num_threads()])
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


def untrained(
    config: ModelConfig, train: Interactions, device: str = "cpu", seed: int = 0,
    params: dict[str, Any] | None = None, unfold: bool = False,
) -> Trained:  # fmt: skip
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
    params : dict, optional
        Parameters other than the defaults.
    unfold : bool
        Whether DiffRec is scored without `DiffRec.refresh`'s short cut.

    Raises
    ------
    TypeError
        The model is none of the trained ones.
    """
    import numpy as np
    import torch

    from recspectra.layers.trained import Trained
    from recspectra.recommender import Run, Task, create

    values = config.resolve(params or {})
    if "rank" in values:
        values["rank"] = min(values["rank"], train.n_items)
    system = create(config, values)
    if not isinstance(system, Trained):
        raise TypeError(f"model '{config.name}' has no weights that could be random")
    needs = spectra_of(config, RunConfig(model=config.name, params=values))
    spectra = {name.partition("@")[0]: random_spectrum(train.n_items, rank, seed) for name, rank in needs}
    torch.manual_seed(seed)
    system.device, system.shape = torch.device(device), np.array(train.shape, dtype=np.int64)
    system.prepare(Task(train, None, True, spectra), Run(seed, device))
    system.module = system.build().to(system.device).eval()
    with torch.no_grad():
        system.refresh()
    if unfold:
        system.score = partial(unfolded_score, system)
    return system


def unfolded_score(system: Any, users: np.ndarray, history: History) -> np.ndarray:
    """Return DiffRec's scores by its authors' steps: x_t of all items goes in, x_hat of all items comes out.

    The scores are those of `DiffRec.score`.
    """
    import torch

    from recspectra.models.diffrec import latest_items
    from recspectra.training.rows import SparseRows

    columns, indptr = (torch.as_tensor(a, device=system.device) for a in latest_items(history))
    ones = torch.ones(len(columns), device=system.device)
    rows = SparseRows(columns.int(), indptr.int(), ones, int(system.shape[1]))
    with torch.no_grad():
        x = system._weighted(rows).dense()
        for step in range(system.params.steps - 1, -1, -1):
            estimate = system.module(x, torch.full((len(x),), step, device=system.device))
            a, b = (float(weights[step]) for weights in system.posterior)
            x = a * estimate + b * x if step else estimate
        return x.cpu().numpy()


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
    caption = (
        f"Median seconds to score one batch of 100 users, random weights, on {machines(rows)}. Unless the "
        "figure says otherwise, all models take five steps; `diffrec-unfolded` forms a row of all items "
        "between two of them, as its authors' program does."
    )
    axes = ("number of users or items", "seconds for a batch of 100 users")
    return drawn(frame, caption, *axes, "no inference time is on disk")


TIME_COLUMNS = ("axis", "model", "smallest", "largest", "at_smallest", "at_largest", "growth",
                "sdiff_at_smallest", "sdiff_at_largest")  # fmt: skip
AXES = {"items": "items, same users", "users": "users, same items"}


def time_table(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return a line for each axis and model: seconds at both ends of a figure's sizes.

    `growth` is the quotient of the two, the last two columns are S-Diff's seconds as multiples of the
    model's.
    """
    import pandas as pd

    rows = files.numbers("inference", table)
    rows = rows[rows["part"] == "total"].dropna(subset="seconds")
    lines = []
    for axis in AXES:
        part = rows[rows["axis"] == axis]
        part = part.pivot_table(index=axis, columns="model", values="seconds", sort=False)
        if part.empty:
            continue
        low, high = part.loc[part.index.min()], part.loc[part.index.max()]
        own = (low[MODEL], high[MODEL]) if MODEL in part else (float("nan"), float("nan"))
        ends = part.index.min(), part.index.max()
        lines += [
            [axis, name, *ends, low[name], high[name], high[name] / low[name], own[0] / low[name],
             own[1] / high[name]] for name in part.columns
        ]  # fmt: skip
    return pd.DataFrame(lines, columns=list(TIME_COLUMNS))


def lay_out_times(
    files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame
) -> Table:
    """Return the table as it is printed, from its long form."""
    from recspectra.reporting.table import plain_table

    header = ["more", "model", "seconds at the smallest", "at the largest", "grows by",
              "S-Diff takes of that at the smallest", "at the largest"]  # fmt: skip
    rows = [
        [f"{AXES.get(r.axis, r.axis)} ({r.smallest:,.0f} to {r.largest:,.0f})", r.model,
         f"{r.at_smallest:.3g}", f"{r.at_largest:.3g}", f"x {r.growth:.1f}",
         f"x {r.sdiff_at_smallest:.2f}", f"x {r.sdiff_at_largest:.2f}"] for r in frame.itertuples()
    ]  # fmt: skip
    return plain_table(header, rows, {0, 1}, table.title, table.caption, _told_of_times(frame), keys=2)


def _told_of_times(frame: pd.DataFrame) -> list[str]:
    """Return what the times say of Section 4.2: sensitive to items, not to users, S-Diff's costs converge."""
    growth = frame.pivot_table(index="model", columns="axis", values="growth", sort=False)
    told = []
    if {"items", "users"} <= set(growth.columns):
        words = ", ".join(f"{m} x {r['items']:.1f} and x {r['users']:.1f}" for m, r in growth.iterrows())
        more = all(growth["items"] > growth["users"])
        told.append(f"With more items and with more users the time of a batch grows by: {words}. Items cost "
                    f"more than users for {'every model' if more else 'some models only'}.")  # fmt: skip
    for row in frame[(frame["axis"] == "items") & (frame["model"] != MODEL)].itertuples():
        first, last = row.sdiff_at_smallest, row.sdiff_at_largest
        dearer = "costs more than" if first > 1.0 else "does not cost more than"
        closer = "grows slower" if last < first else "does not grow slower"
        told.append(f"At the fewest items S-Diff {dearer} {row.model} (x {first:.2f}); towards the most its "
                    f"time {closer} (x {last:.2f}).")  # fmt: skip
    return told


register(
    FigureKind(
        "inference",
        columns=COLUMNS,
        numbers=("users", "items", "seconds"),
        source=OfJobs(measure_inference, options=SIZES, on_device=True, models=("sdiff", "diffrec")),
        data=inference_data,
        render="log",
        about="Seconds of a batch of a diffusion model, against users and items.",
        keys=("model",),
    ),
    TableKind(
        "inference",
        columns=TIME_COLUMNS,
        numbers=TIME_COLUMNS[2:],
        build=time_table,
        lay_out=lay_out_times,
        figure="inference",
        about="How seconds of a batch grow with users and items.",
    ),
)
