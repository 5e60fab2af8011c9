"""S-Diff: signal-to-noise ratio of its noise schedules (Figure 3 and Table 3).

Once at the frequencies that a run keeps, once with all frequencies of a dataset, which is the reading that
comes nearest to what is printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recspectra.registry import FigureKind, Job, OfJobs, OfRuns, TableKind, Target, register

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from recspectra.config.model import PlannedRun
    from recspectra.config.planned import Study
    from recspectra.config.study import FigureConfig, TableConfig
    from recspectra.data.interactions import Interactions
    from recspectra.reporting.figures.base import FigureData
    from recspectra.reporting.published import Published
    from recspectra.reporting.results import StudyResults
    from recspectra.reporting.table import Table

MODEL = "sdiff"  # where a figure names no model
STEPS = 1000
AXES = ("diffusion step", "log SNR (natural logarithm)")


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

    caption = (
        "Logarithm of the signal-to-noise ratio at each diffusion step: mean signal power over mean noise "
        "power of the K frequencies."
    )
    return curve_data(files, rows, caption, *AXES)


SNR_COLUMNS = ("dataset", "schedule", "last", "mean", "published")
SNR_NOTE = (
    "log SNR is the natural logarithm of mean signal power over mean noise power, both averaged over the "
    "frequencies that are kept: at the last step (t = tau), and as the mean over all steps that are drawn. "
    "The paper defines SNR for each frequency and does not say how its one number comes about."
)


def snr_table(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return one line a dataset and schedule from the points of the table's figure, columns `SNR_COLUMNS`."""
    import numpy as np

    rows = files.numbers("snr", table).sort_values("x", kind="stable")
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


def lay_out_snr(files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame) -> Table:
    """Return the table as it is printed, from its long form."""
    from recspectra.reporting.table import DASH, plain_table

    header = ["dataset", "schedule", "log SNR at the last step", "mean over steps", "published"]
    rows = [
        [files.titles.get(dataset, dataset), schedule, *(f"{n:.2f}" if n == n else DASH for n in numbers)]
        for dataset, schedule, *numbers in frame[list(SNR_COLUMNS)].itertuples(index=False)
    ]
    return plain_table(header, rows, {0, 1}, table.title, table.caption, [SNR_NOTE], keys=2)


# --------------------------------------------------------------------- SNR of all frequencies

ALL_COLUMNS = ("dataset", "frequencies", "series", "x", "y")
MOST_ITEMS = 8000  # of a dense decomposition; beyond, `ddpm` only, which knows no frequencies
ROUNDED = 3e-6  # noise variance of frequency 0 with which Table 3's number of `vp` on ML-1M comes out
FLOORED = f"vp, noise variance {ROUNDED:g} at frequency 0"
AGREES = 0.05  # in log SNR


def whole_spectra(study: Study, figure: FigureConfig) -> list[Target]:
    """Return a target for each dataset of a figure, which reads its training interactions."""
    names = figure.datasets or study.config.datasets
    return [Target(f"{name}/snr-all", (f"results/data/{name}/train.npz",)) for name in names]


def measure_whole_snr(job: Job) -> pd.DataFrame:
    """Return log SNR against the step with all |I| frequencies of a dataset, columns `ALL_COLUMNS`."""
    from recspectra.data.interactions import Interactions

    (data,) = job.inputs
    return whole_snr(Interactions.load(data)).assign(dataset=data.parent.name)[list(ALL_COLUMNS)]


def whole_snr(train: Interactions) -> pd.DataFrame:
    """Return ln sum_i alpha_i^2 / sigma_i^2 at each of `STEPS` steps, alpha_min 0 and sigma_max 1.

    Its mean over steps is `schedules.mean_log_snr`, the reading that comes nearest to Table 3.

    Parameters
    ----------
    train : Interactions
        n items: the graph is made of them.

    Returns
    -------
    DataFrame
        `series` (a schedule, or `vp` with some noise at frequency 0), `frequencies` (n), `x` (the step), `y`.
        Where n exceeds `MOST_ITEMS`, of `ddpm` alone.
    """
    import numpy as np
    import pandas as pd

    from recspectra.spectral.schedules import SCHEDULES, mean_log_snr, schedule

    n = train.n_items
    known = n <= MOST_ITEMS
    frequencies = item_frequencies(train) if known else np.zeros(n)
    times = np.arange(1, STEPS + 1) / STEPS
    frames = []
    for name, series, floor in [*((s, s, 0.0) for s in SCHEDULES), ("vp", FLOORED, ROUNDED)]:
        if known or name == "ddpm":
            levels = (schedule(name, times[i : i + 1], frequencies, 0.0, 1.0) for i in range(STEPS))
            y = [mean_log_snr(*level, floor) for level in levels]
            frames.append(pd.DataFrame({"series": series, "x": np.arange(1, STEPS + 1), "y": y}))
    return pd.concat(frames, ignore_index=True).assign(frequencies=n)


def item_frequencies(train: Interactions) -> np.ndarray:
    """Return all eigenvalues of I - R^T R, ascending from 0, shape (n,)."""
    import numpy as np

    from recspectra.spectral.operators import normalised

    root = normalised(train.matrix)
    return np.maximum(1.0 - np.linalg.eigvalsh((root.T @ root).toarray())[::-1], 0.0)


def whole_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return log SNR with all frequencies against the diffusion step."""
    from recspectra.reporting.curves import curve_data

    caption = (
        "Logarithm of the sum of alpha^2 / sigma^2 over the frequencies of all items (alpha_min 0, sigma_max "
        "1). A frequency without noise is left out; once it has the noise that rounding may leave."
    )
    return curve_data(files, rows, caption, *AXES)


WHOLE_COLUMNS = ("dataset", "schedule", "frequencies", "mean", "published")
WHOLE_NOTE = (
    "The number is the mean over 1,000 steps of ln sum_i alpha_i^2 / sigma_i^2 over all items' frequencies, "
    "with alpha_min 0 and sigma_max 1. A frequency without noise is left out; where rounding leaves "
    "frequency 0 of `vp` a little noise, that one frequency decides the number."
)


def whole_table(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return one line a dataset and schedule from the points of the table's figure."""
    groups = files.numbers("snr-all", table).groupby(["dataset", "series"], sort=False)
    frame = groups.agg(frequencies=("frequencies", "first"), mean=("y", "mean")).reset_index()
    frame = frame.rename(columns={"series": "schedule"})
    pairs = zip(frame["dataset"], frame["schedule"].str.partition(",")[0], strict=True)
    return frame.assign(published=[_printed_snr(published, table, *p) for p in pairs])[list(WHOLE_COLUMNS)]


def lay_out_whole(
    files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame
) -> Table:
    """Return the table as it is printed, from its long form."""
    from recspectra.reporting.table import DASH, plain_table

    header = ["dataset", "schedule", "frequencies", "log SNR, mean over steps", "published", "comes out"]
    rows = []
    for row in frame.itertuples():
        known = row.published == row.published
        said = ("yes" if abs(row.mean - row.published) <= AGREES else "no") if known else DASH
        printed = f"{row.published:.2f}" if known else DASH
        title = files.titles.get(row.dataset, row.dataset)
        rows.append([title, row.schedule, f"{row.frequencies:,.0f}", f"{row.mean:.2f}", printed, said])
    return plain_table(header, rows, {0, 1, 5}, table.title, table.caption, [WHOLE_NOTE], keys=2)


register(
    FigureKind(
        "snr",
        columns=("dataset", "series", "x", "y"),
        numbers=("x", "y"),
        source=OfRuns(snr_runs, snr_points),
        data=snr_data,
        about="Signal-to-noise ratio of noise schedules, against steps.",
    ),
    FigureKind(
        "snr-all",
        columns=ALL_COLUMNS,
        numbers=("frequencies", "x", "y"),
        source=OfJobs(measure_whole_snr, targets=whole_spectra),
        data=whole_data,
        about="The same with all frequencies of a dataset, summed up.",
    ),
    TableKind(
        "snr",
        columns=SNR_COLUMNS,
        numbers=SNR_COLUMNS[2:],
        build=snr_table,
        lay_out=lay_out_snr,
        keys=("datasets", "published"),
        figure="snr",
        about="Signal-to-noise ratios of noise schedules.",
    ),
    TableKind(
        "snr-all",
        columns=WHOLE_COLUMNS,
        numbers=WHOLE_COLUMNS[2:],
        build=whole_table,
        lay_out=lay_out_whole,
        keys=("datasets", "published"),
        figure="snr-all",
        about="The mean over steps of what a figure of kind `snr-all` shows, next to the printed number.",
    ),
)
