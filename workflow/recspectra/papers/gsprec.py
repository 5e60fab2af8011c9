"""GSPRec: the response of its filters, and how much of the users' signals lies in which band.

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
eigenvalues in it, divided by x . x. Only the leading pairs are computed: the energy that
they do not hold lies at larger eigenvalues and is its own row, `beyond`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recspectra.config.model import spectra_of
from recspectra.registry import FigureKind, Job, OfJobs, OfRuns, Target, register

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recspectra.config.catalog import Study
    from recspectra.config.model import PlannedRun
    from recspectra.config.study import FigureConfig
    from recspectra.data.interactions import Interactions
    from recspectra.reporting.figures.base import FigureData
    from recspectra.reporting.results import StudyResults
    from recspectra.spectral.spectrum import Spectrum

MODEL = "gsprec"  # where a figure names no model

# ------------------------------------------------------------------------- energy per band

EDGES = {"low": (0.0, 0.3), "middle": (0.3, 0.8), "high": (0.8, 2.0)}
BEYOND = "beyond"
COLUMNS = ("dataset", "operator", "rank", "signal", "band", "low", "high", "pairs", "share")
BATCH_NUMBERS = 8_000_000  # coefficients held at once: 64 MB of float64
ROUNDING = 1e-9  # eigenvalues of a Laplacian may come out just below 0


def energy_spectra(study: Study, figure: FigureConfig) -> list[Target]:
    """Return a target for the first spectrum of the figure's model on each of its datasets.

    The option `rank` is how many eigenpairs are looked at; by default those of the run.
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
            found.setdefault(dataset, Target(f"{dataset}/energy/{name}", inputs))
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
        eigenvalue and 2), `pairs` (computed in the band) and `share`: the mean over the
        users that have such a signal. The shares of a signal sum to 1.
    """
    import numpy as np
    import pandas as pd

    frequencies = np.maximum(1.0 - spectrum.values, 0.0)
    bands = np.stack([_inside(frequencies, *edges) for edges in EDGES.values()], axis=1)
    items = spectrum.vectors[-train.n_items :]
    profile = np.asarray(train.matrix.mean(axis=0), dtype=np.float64).ravel()
    rows = {
        "global trend": _shares((profile @ items)[None] ** 2 @ bands, np.array([profile @ profile])),
        **_user_shares(train, items, bands, profile),
    }
    ends = [*EDGES.values(), (float(frequencies.max()), 2.0)]
    pairs = [*bands.sum(axis=0).astype(int), 0]
    return pd.DataFrame(
        [
            (signal, band, *ends[j], pairs[j], shares[j])
            for signal, shares in rows.items()
            for j, band in enumerate([*EDGES, BEYOND])
        ],
        columns=list(COLUMNS[3:]),
    )


def _inside(frequencies: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 1 for each eigenvalue in [low, high), with 2 itself in the last band."""
    top = high if high < 2.0 else 2.0 + ROUNDING
    return ((frequencies >= low) & (frequencies < top)).astype("float64")


def _shares(captured: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Return the mean share per band, and what no computed pair holds, over rows with energy."""
    import numpy as np

    some = energy > ROUNDING
    if not some.any():
        return np.full(captured.shape[1] + 1, np.nan)
    shares = (captured[some] / energy[some, None]).mean(axis=0)
    return np.append(shares, max(0.0, 1.0 - shares.sum()))


def _user_shares(
    train: Interactions, items: np.ndarray, bands: np.ndarray, profile: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the shares of the users' rows, and of the rows without their part along the profile."""
    import numpy as np

    along = train.matrix @ profile / max(profile @ profile, ROUNDING)
    trend = profile @ items
    size = max(1, BATCH_NUMBERS // items.shape[1])
    whole, own = [], []
    for start in range(0, train.n_users, size):
        coefficients = np.asarray(train.matrix[start : start + size] @ items, dtype=np.float64)
        whole.append(coefficients**2 @ bands)
        own.append((coefficients - along[start : start + size, None] * trend) ** 2 @ bands)
    lengths = np.diff(train.matrix.indptr).astype(np.float64)
    rest = lengths - along**2 * (profile @ profile)
    rest[rest < 1e-6 * lengths] = 0.0  # the row is the profile, up to rounding
    return {
        "whole row": _shares(np.concatenate(whole), lengths),
        "user-specific": _shares(np.concatenate(own), rest),
    }


def energy_data(files: StudyResults, figure: FigureConfig, rows: pd.DataFrame) -> FigureData:
    """Return the share of the users' signals in each band of the graph's spectrum."""
    from recspectra.reporting.figures.base import drawn

    rows = rows.dropna(subset="share")
    spectra = rows[["dataset", "operator", "rank"]].drop_duplicates()
    names = rows["dataset"].map(lambda n: files.titles.get(n, n)) + ", " + rows["rank"] + " eigenpairs"
    if spectra["dataset"].duplicated().any():
        names = names + " of " + rows["operator"]
    frame = rows.assign(panel=names)[["panel", *COLUMNS[3:]]].drop_duplicates()
    caption = (
        "Share of a signal's energy per band of eigenvalues of the graph Laplacian, mean over users: the "
        "mean row of all users (global trend), a user's row without its part along that mean "
        "(user-specific), and the row as it is. Energy that no computed eigenpair holds lies at larger "
        "eigenvalues. A graph of users and items is nearly bipartite: about half of the energy of a "
        "smooth signal on items alone lies near 2."
    )
    return drawn(frame, caption, "share of energy", "", "energy.csv has no numbers for this figure")


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


register(
    FigureKind(
        "energy",
        columns=COLUMNS,
        numbers=("low", "high", "pairs", "share"),
        source=OfJobs(measure_energy, energy_spectra, options={"rank": None}),
        data=energy_data,
        render=draw_energy,
        about="Share of the users' signals in each band of frequencies.",
    ),
    FigureKind(
        "frequency-response",
        columns=("dataset", "series", "x", "y"),
        numbers=("x", "y"),
        source=OfRuns(response_runs, response_points),
        data=response_data,
        about="What filters do to each frequency.",
    ),
)
