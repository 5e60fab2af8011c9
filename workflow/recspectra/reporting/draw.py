"""Draw everything of one study folder from the files in it."""

from __future__ import annotations

from pathlib import Path

from recspectra.config.scale import USABLE
from recspectra.reporting import noise, plain, runtime
from recspectra.reporting.audit import draw_audit
from recspectra.reporting.claims import draw_claims
from recspectra.reporting.escape import one_line
from recspectra.reporting.figures import draw_figure
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyFiles, select_runs
from recspectra.reporting.tables import draw_table, layout, read, to_text

DRAWERS = {"metrics": draw_table, "runtime": runtime.draw_runtime, "snr": noise.draw_noise}


def draw(folder: Path | str, root: Path | str) -> list[str]:
    """Make all tables, figures, claims and `audit.csv` of a study.

    Parameters
    ----------
    folder : Path
        `results/studies/{study}`, with `study.json`, `metrics.csv`, `runs.csv`, ...
    root : Path
        The project folder that holds `config/published/`.

    Returns
    -------
    list of str
        Names of the files written, in `folder`.

    Raises
    ------
    StudyError, ConfigError, ArtifactError
        A file is missing or wrong, or cannot be written.
    """
    files, published = StudyFiles(folder), Published(root)
    written: list[str] = []
    for table in files.config.tables:
        written += DRAWERS[table.kind](files, table, published)
    for figure in files.config.figures:
        written += draw_figure(files, figure)
    written += draw_claims(files, published)
    referred = [item.published for item in [*files.config.tables, *files.config.claims] if item.published]
    return written + draw_audit(files.folder, published, referred)


def summary_text(folder: Path | str) -> str:
    """Return the first table of a drawn study as text of at most 100 columns, and why runs failed."""
    files = StudyFiles(folder)
    lost = failures(files)
    return _first_table(files) + "".join(f"{line}\n" for line in ["", *lost] if lost)


def failures(files: StudyFiles) -> list[str]:
    """Return a line for each system and dataset without a number: its status and the reason."""
    runs = select_runs(files)
    runs = runs[~runs["status"].isin(USABLE)].drop_duplicates(["dataset", "label", "status", "reason"])
    return [
        one_line(f"{run.label} on {files.titles.get(run.dataset, run.dataset)}: {run.status}, {run.reason}")
        for run in runs.itertuples()
    ]


def _first_table(files: StudyFiles) -> str:
    if not files.config.tables:
        return f"Study '{files.config.name}' has no table.\n"
    table = files.config.tables[0]
    if table.kind == "runtime":
        laid = runtime.layout(
            runtime.read(files.folder, table.name), files.titles, runtime.title_of(files, table.reference)
        )
        return f"{table.title}\n\n{plain.to_text(laid)}\n"
    if table.kind == "snr":
        laid = noise.layout(noise.read(files.folder, table.name), files.titles)
        return f"{table.title}\n\n{plain.to_text(laid)}\n"
    return to_text(layout(read(files.folder, table.name), files.titles), table)
