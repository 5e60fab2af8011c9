"""GSPRec: the response of its filters, what of the users' signals lies in which band, and Lemma 1.

GSPRec's Appendices C and G say that coefficients of 0.3 < lambda < 0.8 are larger for
user-specific patterns than for global trends. Three signals on the items are measured:

`whole row`
    x_u, what a user interacted with.
`global trend`
    The mean row over users, the popularity profile p.
`user-specific`
    x_u without its part along p: x_u - (x_u . p / p . p) p.

Each is placed on the item nodes of the graph, 0 on the user nodes. With the orthonormal
eigenvectors u_i of its Laplacian, the share of a band is the sum of (u_i . x)^2 over the
eigenvalues in it, divided by x . x; its mean |alpha| is that of |u_i . x| / |x| over its pairs.
Only the leading pairs are computed: the energy that they do not hold lies at larger eigenvalues
and is its own row, `beyond`.

Lemma 1 has the sum of Eq. 2 converge for alpha < 1 / rho(S'). Each fit writes rho(S') down; the
table `convergence` sets it against alpha.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recspectra.config.model import spectra_of
from recspectra.registry import FigureKind, Job, OfJobs, OfRuns, RunColumns, TableKind, Target, register

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recspectra.config.model import PlannedRun
    from recspectra.config.planned import Study
    from recspectra.config.study import FigureConfig, TableConfig
    from recspectra.data.interactions import Interactions
    from recspectra.reporting.figures.base import FigureData
    from recspectra.reporting.published import Published
    from recspectra.reporting.results import StudyResults
    from recspectra.reporting.table import Table
    from recspectra.spectral.spectrum import Spectrum

MODEL = "gsprec"  # where a figure names no model

# ------------------------------------------------------------------------- energy per band

EDGES = {"low": (0.0, 0.3), "middle": (0.3, 0.8), "high": (0.8, 2.0)}
BEYOND = "beyond"
COLUMNS = ("dataset", "operator", "rank", "signal", "band", "low", "high", "pairs", "share",
           "magnitude")  # fmt: skip
NUMBERS = ("low", "high", "pairs", "share", "magnitude")
BATCH_NUMBERS = 8_000_000  # coefficients held at once: 64 MB of float64
ROUNDING = 1e-9  # eigenvalues of a Laplacian may come out just below 0


def energy_spectra(study: Study, figure: FigureConfig) -> list[Target]:
    """Return a target for the first spectrum of the figure's model on each of its datasets.

    The option `rank` is how many eigenpairs are looked at; by default those of the run. Figures of both
    kinds have the same numbers, each in a file of its own.
    """
    found: dict[str, Target] = {}
    for planned in study.runs:
        run, dataset = planned.run, planned.dataset
        wanted = run.model == (figure.model or MODEL) and figure.group in (None, planned.group)
        needs = spectra_of(study.catalog.model(run.model), run) if wanted else []
        if needs and dataset in (figure.datasets or [dataset]) and run.fit == "train":
            operator, size = needs[0]
            name = f"{operator}-r{figure.options.get('rank') or size}"
            inputs = (f"results/data/{dataset}/train.npz", f"results/spectra/{dataset}/{name}.npz")
            found.setdefault(dataset, Target(f"{dataset}/{figure.kind}/{name}", inputs))
    return list(found.values())


def measure_energy(job: Job) -> pd.DataFrame:
    """Return the energy per band of one dataset's signals, columns `COLUMNS`."""
    from recspectra.data.interactions import Interactions
    from recspectra.identity import data_digest
    from recspectra.spectral.spectrum import Spectrum

    data, spectrum = job.inputs
    operator, _, rank = spectrum.stem.rpartition("-r")
    train = Interactions.load(data)
    shares = energy_bands(train, Spectrum.load(spectrum, data_digest(train)))
    return shares.assign(dataset=data.parent.name, operator=operator, rank=rank)[list(COLUMNS)]


def energy_bands(train: Interactions, spectrum: Spectrum) -> pd.DataFrame:
    """Return the share of each signal's energy per band of Laplacian eigenvalues.

    Parameters
    ----------
    train : Interactions
        m users, n items.
    spectrum : Spectrum
        Leading pairs of a normalised adjacency A with items as its last n nodes; the
        Laplacian's eigenvalues are 1 - those of A.

    Returns
    -------
    DataFrame
        `signal`, `band`, `low` and `high` (the band's ends; of `beyond` the last computed
        eigenvalue and 2), `pairs` (computed in the band), `share` and `magnitude` (of a
        pair, NaN where the band has none): means over the users that have such a signal.
        The shares of a signal sum to 1.
    """
    import numpy as np
    import pandas as pd

    frequencies = np.maximum(1.0 - spectrum.values, 0.0)
    bands = np.stack([_inside(frequencies, *edges) for edges in EDGES.values()], axis=1)
    items = spectrum.vectors[-train.n_items :]
    profile = np.asarray(train.matrix.mean(axis=0), dtype=np.float64).ravel()
    rows = {
        "global trend": _means((profile @ items)[None], bands, np.array([profile @ profile])),
        **_user_means(train, items, bands, profile),
    }
    ends = [*EDGES.values(), (float(frequencies.max()), 2.0)]
    pairs = [*bands.sum(axis=0).astype(int), 0]
    return pd.DataFrame(
        [
            (signal, band, *ends[j], pairs[j], shares[j], sizes[j])
            for signal, (shares, sizes) in rows.items()
            for j, band in enumerate([*EDGES, BEYOND])
        ],
        columns=list(COLUMNS[3:]),
    )


def _inside(frequencies: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 1 for each eigenvalue in [low, high), with 2 itself in the last band."""
    top = high if high < 2.0 else 2.0 + ROUNDING
    return ((frequencies >= low) & (frequencies < top)).astype("float64")


def _means(coefficients: np.ndarray, bands: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean share per band, with what no computed pair holds, and the mean |alpha| of a pair.

    Parameters
    ----------
    coefficients : array, shape (signals, pairs)
        u_i . x.
    bands : array, shape (pairs, bands)
        1 where a pair is in a band.
    energy : array, shape (signals,)
        x . x; signals without any do not count.
    """
    import numpy as np

    return _over_signals(coefficients**2 @ bands, np.abs(coefficients) @ bands, bands.sum(axis=0), energy)


def _over_signals(
    squares: np.ndarray, sizes: np.ndarray, pairs: np.ndarray, energy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    some = energy > ROUNDING
    if not some.any():
        return np.full(len(pairs) + 1, np.nan), np.full(len(pairs) + 1, np.nan)
    shares = (squares[some] / energy[some, None]).mean(axis=0)
    total = (sizes[some] / np.sqrt(energy[some, None])).mean(axis=0)
    each = np.divide(total, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return np.append(shares, max(0.0, 1.0 - shares.sum())), np.append(each, np.nan)


def _user_means(
    train: Interactions, items: np.ndarray, bands: np.ndarray, profile: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the same of the users' rows, and of the rows without their part along the profile."""
    import numpy as np

    along = train.matrix @ profile / max(profile @ profile, ROUNDING)
    trend = profile @ items
    size = max(1, BATCH_NUMBERS // items.shape[1])
    found: list[list[np.ndarray]] = []
    for start in range(0, train.n_users, size):
        whole = np.asarray(train.matrix[start : start + size] @ items, dtype=np.float64)
        own = whole - along[start : start + size, None] * trend
        found.append([part for c in (whole, own) for part in (c**2 @ bands, np.abs(c) @ bands)])
    squares, sizes, own_squares, own_sizes = (np.concatenate(part) for part in zip(*found, strict=True))
    lengths = np.diff(train.matrix.indptr).astype(np.float64)
    rest = lengths - along**2 * (profile @ profile)
    rest[rest < 1e-6 * lengths] = 0.0  # the row is the profile, up to rounding
    pairs = bands.sum(axis=0)
    return {
        "whole row": _over_signals(squares, sizes, pairs, lengths),
        "user-specific": _over_signals(own_squares, own_sizes, pairs, rest),
    }


def energy_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return the share of the users' signals in each band of the graph's spectrum."""
    from recspectra.reporting.figures.base import drawn

    frame = _in_panels(files, rows.dropna(subset="share"))
    caption = (
        "Share of a signal's energy per band of eigenvalues of the graph Laplacian, mean over users: the "
        "mean row of all users (global trend), a user's row without its part along that mean "
        "(user-specific), and the row as it is. Energy that no computed eigenpair holds lies at larger "
        "eigenvalues. A graph of users and items is nearly bipartite: about half of the energy of a "
        "smooth signal on items alone lies near 2."
    )
    return drawn(frame, caption, "share of energy", "", "energy.csv has no numbers for this figure")


def _in_panels(files: StudyResults, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a figure with a panel for each dataset and spectrum."""
    spectra = rows[["dataset", "operator", "rank"]].drop_duplicates()
    names = rows["dataset"].map(lambda n: files.titles.get(n, n)) + ", " + rows["rank"] + " eigenpairs"
    if spectra["dataset"].duplicated().any():
        names = names + " of " + rows["operator"]
    return rows.assign(panel=names)[["panel", *COLUMNS[3:]]].drop_duplicates()


def coefficients_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return the mean |alpha| of an eigenpair in each band of the graph's spectrum."""
    from recspectra.reporting.figures.base import drawn

    frame = _in_panels(files, rows.dropna(subset="magnitude"))
    caption = (
        "Mean |alpha| of an eigenpair, by band of eigenvalues of the graph Laplacian: how large the "
        "coefficient of one eigenvector is in a signal of length 1, mean over the computed pairs of the band "
        "and over users. Appendices C and G say that it is larger for user-specific signals than for the "
        "global trend between 0.3 and 0.8. A band without a computed pair is left out."
    )
    reason = "coefficients.csv has no numbers for this figure"
    return drawn(frame, caption, "eigenvalue", "mean |alpha| of a pair", reason)


def draw_coefficients(what: FigureData) -> Figure:
    """Draw a point for each signal and band, a panel a dataset."""
    import seaborn as sns
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from recspectra.reporting.figures import theme
    from recspectra.reporting.figures.base import heading, name_of, plain_number

    picture, axes, wide = theme.panel_grid(what, 2.4, sharey=True)
    signals, bands = (list(dict.fromkeys(what.frame[name])) for name in ("signal", "band"))
    for panel, axis in axes.items():
        rows = what.frame[what.frame["panel"] == panel]
        shifts = [0.2 * (signals.index(name) - (len(signals) - 1) / 2) for name in rows["signal"]]
        sns.scatterplot(
            rows.assign(at=rows["band"].map(bands.index) + shifts), x="at", y="magnitude", hue="signal",
            style="signal", s=45, legend=False, ax=axis, **theme.looks(signals),
        )  # fmt: skip
        ends = rows.drop_duplicates("band").set_index("band")
        marks = [f"{b}\n{ends['low'][b]:g} to {ends['high'][b]:g}" if b in ends.index else b for b in bands]
        axis.set_xticks(range(len(bands)), marks)
        axis.set(xlabel=name_of(what.x), ylabel=name_of(what.y), title=heading(panel, wide), yscale="log")
        axis.yaxis.set_major_formatter(FuncFormatter(plain_number))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_xlim(-0.5, len(bands) - 0.5)
    theme.legend(picture, theme.handles(signals, lines=False))
    return picture


def draw_energy(what: FigureData) -> Figure:
    """Draw shares that add up to 1 as stacked bars, one panel a dataset below the other."""
    from recspectra.reporting.figures import theme
    from recspectra.reporting.figures.base import name_of

    panels = list(dict.fromkeys(what.frame["panel"]))
    picture, axes = theme.grid(len(panels), 1, 1.15 * len(panels) + 0.9, sharex=True)
    handles: dict[str, object] = {}
    for (axis,), panel in zip(axes, panels, strict=True):
        rows = what.frame[what.frame["panel"] == panel]
        signals = list(dict.fromkeys(rows["signal"]))
        for band, part in rows.groupby("band", sort=False):
            handles |= _stack(axis, rows, part, str(band), signals)
        axis.set_yticks(range(len(signals)), [name_of(name, 40) for name in signals])
        axis.set(xlim=(0, 1), ylim=(len(signals) - 0.5, -0.5), title=name_of(panel))
        axis.grid(axis="y", visible=False)
    axes[-1][0].set_xlabel(what.x)
    theme.legend(picture, handles)
    return picture


def _stack(
    axis: Axes, rows: pd.DataFrame, part: pd.DataFrame, band: str, signals: list[str]
) -> dict[str, object]:
    """Draw one band of every signal; shares large enough to hold a number show it.

    seaborn has no bars of shares that are stacked.
    """
    from recspectra.reporting.figures.theme import COLOURS

    looks = {"low": (COLOURS[0], ""), "middle": (COLOURS[4], "////"), "high": (COLOURS[3], ".."),
             BEYOND: ("#c9ced6", "")}  # fmt: skip
    lefts = rows.groupby("signal", sort=False)["share"].cumsum()[part.index] - part["share"]
    colour, hatch = looks.get(band, (COLOURS[5], ""))
    places = [signals.index(name) for name in part["signal"]]
    bars = axis.barh(
        places, part["share"], 0.72, left=lefts, color=colour, hatch=hatch, edgecolor="white", lw=0.4
    )
    for place, left, share in zip(places, lefts, part["share"], strict=True):
        if share >= 0.04:
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
            axis.text(left + share / 2, place, f"{share:.0%}", ha="center", va="center", fontsize=7,
                      color="#111111", bbox=box)  # fmt: skip
    low, high = part["low"].iloc[0], part["high"].iloc[0]
    return {"larger than computed" if band == BEYOND else f"{band}, {low:g} to {high:g}": bars}


# --------------------------------------------------------------------- frequency response

RESPONSE_POINTS = 401


def response_runs(study: Study, figure: FigureConfig) -> list[PlannedRun]:
    """Return one run per dataset and variant."""
    return study.examples(figure, MODEL, lambda planned: planned.variant)


def response_points(study: Study, planned: PlannedRun, record: dict[str, Any]) -> pd.DataFrame:
    """Return the gain of GSPRec's filters over the Laplacian's spectrum.

    Eq. 7 is drawn where eigenpairs were computed; beyond the last of them every
    filter of the truncated basis is 0.
    """
    import numpy as np

    from recspectra.reporting.curves import points
    from recspectra.spectral.filters import gaussian_bandpass, ideal_lowpass, rescaled

    log, p = record.get("log", {}), record["params"]
    if "eigenvalues" not in log:
        return points(planned, {})
    last = max(log["eigenvalues"])
    x = np.union1d(np.linspace(0.0, log["highest"], RESPONSE_POINTS), [last, last + 1e-6])
    inside, position = (x <= last).astype(np.float64), rescaled(x, *log["range"])
    low = inside * ideal_lowpass(position, p["low_cut"])
    band = inside * gaussian_bandpass(position, p["center"], p["width"])
    label = f"c={p['center']:g} w={p['width']:g}"
    combined = p["phi"] * band + (1.0 - p["phi"]) * low
    curves = {f"band-pass {label}": band, "low-pass": low, f"combined {label} phi={p['phi']:g}": combined}
    return points(planned, {name: (x, y) for name, y in curves.items()})


def response_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return the gain of filters against the eigenvalue."""
    from recspectra.reporting.curves import curve_data

    caption = "Gain of each filter at the eigenvalues of the graph Laplacian; small is smooth."
    x = "Laplacian eigenvalue (graph frequency)"
    return curve_data(files, rows, caption, x, "gain", _shortened)


def _shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """Name filters by their kind alone, settings in the panel's title, where each panel has one of a kind.

    Every dataset has settings of its own, so with them in the names each panel would have
    colours of its own for the same filters.
    """
    parts = frame["series"].str.split(" ", n=1, expand=True).reindex(columns=[0, 1]).fillna("")
    kinds = frame.assign(kind=parts[0]).groupby(["dataset", "kind"])["series"].nunique()
    if (kinds > 1).any():
        return frame
    longest = parts[1].groupby(frame["dataset"]).agg(lambda texts: max(texts, key=len))
    settings = frame["dataset"].map(longest)
    panel = frame["panel"].where(settings == "", frame["panel"] + " (" + settings + ")")
    return frame.assign(series=parts[0], panel=panel)


# ----------------------------------------------------------------------------- convergence

CONVERGENCE = ("dataset", "depth", "decay", "spectral_radius", "alpha_limit")
CONVERGENCE_NOTE = (
    "rho(S') is the spectral radius of the graph of transitions of the training data, by power iteration. "
    "Lemma 1 needs alpha < 1 / rho(S'). At a finite depth d the sum of Eq. 2 is finite whatever alpha is; "
    "where the condition does not hold, long paths weigh more than short ones, the more the deeper."
)


def radius_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return rho(S') and 1 / rho(S') of a run, as its fit found them."""
    log = record.get("log") or {}
    return {name: log.get(name) for name in ("spectral_radius", "alpha_limit")}


def convergence(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return one line a dataset, depth and decay of GSPRec's runs, columns `CONVERGENCE`."""
    import pandas as pd

    from recspectra.reporting.results import select_runs

    runs = select_runs(files, table.groups, table.datasets, table.fit, model=table.reference or MODEL)
    runs = runs[runs["spectral_radius"].notna()]
    set_to = pd.DataFrame([{n: p[n] for n in ("depth", "decay")} for p in runs["params"]], index=runs.index)
    frame = runs[["dataset", "spectral_radius", "alpha_limit"]].join(set_to) if len(runs) else runs
    return frame.reindex(columns=list(CONVERGENCE)).drop_duplicates().reset_index(drop=True)


def lay_out_convergence(
    files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame
) -> Table:
    """Return the table as it is printed, from its long form."""
    from recspectra.reporting.table import plain_table

    header = ["dataset", "d", "alpha", "rho(S')", "1 / rho(S')", "alpha times rho(S')", "alpha < 1 / rho(S')"]
    rows = [
        [files.titles.get(line.dataset, line.dataset), f"{line.depth:.0f}", f"{line.decay:g}",
         f"{line.spectral_radius:,.1f}", f"{line.alpha_limit:.2g}",
         f"{line.decay * line.spectral_radius:,.1f}", "yes" if line.decay < line.alpha_limit else "no"]
        for line in frame.itertuples()
    ]  # fmt: skip
    return plain_table(header, rows, {0, 6}, table.title, table.caption, [CONVERGENCE_NOTE], keys=2)


register(
    FigureKind(
        "energy",
        columns=COLUMNS,
        numbers=NUMBERS,
        source=OfJobs(measure_energy, energy_spectra, options={"rank": None}),
        data=energy_data,
        render=draw_energy,
        about="Share of the users' signals in each band of frequencies.",
    ),
    FigureKind(
        "coefficients",
        columns=COLUMNS,
        numbers=NUMBERS,
        source=OfJobs(measure_energy, energy_spectra, options={"rank": None}),
        data=coefficients_data,
        render=draw_coefficients,
        about="How large the users' signals are in one eigenvector, by band of frequencies.",
    ),
    FigureKind(
        "frequency-response",
        columns=("dataset", "series", "x", "y"),
        numbers=("x", "y"),
        source=OfRuns(response_runs, response_points),
        data=response_data,
        about="What filters do to each frequency.",
    ),
    RunColumns("convergence", CONVERGENCE[3:], CONVERGENCE[3:], radius_of),
    TableKind(
        "convergence",
        columns=CONVERGENCE,
        numbers=CONVERGENCE[1:],
        build=convergence,
        lay_out=lay_out_convergence,
        keys=("datasets", "groups", "fit", "reference"),
        about="The spectral radius of GSPRec's graph of transitions, and the decay that Lemma 1 allows.",
    ),
)
