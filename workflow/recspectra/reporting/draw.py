"""Draw everything of one study folder from the files in it."""

from __future__ import annotations

from pathlib import Path

from recspectra import registry
from recspectra.config.scale import USABLE
from recspectra.config.study import TableConfig
from recspectra.reporting import activity, runtime, sizes, tables
from recspectra.reporting.audit import draw_audit
from recspectra.reporting.claims import draw_claims
from recspectra.reporting.escape import one_line
from recspectra.reporting.figures import draw_costs, draw_figure
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, select_runs
from recspectra.reporting.standings import draw_standings
from recspectra.reporting.table import Table, to_text
from recspectra.reporting.worlds import draw_worlds

# kind -> what writes a table, and what lays it out from its long form on disk
GENERIC = {
    "metrics": (tables.draw_table, tables.laid_out),
    "runtime": (runtime.draw_runtime, runtime.laid_out),
    "activity": (activity.draw_activity, activity.laid_out),
    "datasets": (sizes.draw_sizes, sizes.laid_out),
}


def draw_any(files: StudyResults, table: TableConfig, published: Published) -> list[str]:
    """Write the files of a table of any kind and return their names."""
    generic = GENERIC.get(table.kind)
    return (generic[0] if generic else registry.tables()[table.kind].draw)(files, table, published)


def lay_out(files: StudyResults, table: TableConfig, published: Published) -> Table:
    """Return a table of any kind as it is printed."""
    generic = GENERIC.get(table.kind)
    return (generic[1] if generic else registry.tables()[table.kind].lay_out)(files, table, published)


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
    files, published = StudyResults(folder), Published(root)
    written: list[str] = []
    for table in files.config.tables:
        written += draw_any(files, table, published)
    written += draw_worlds(files, published)
    for figure in files.config.figures:
        written += draw_figure(files, figure, published)
    written += draw_claims(files, published)
    written += draw_standings(files)
    written += draw_costs(files)
    referred = [item.published for item in [*files.config.tables, *files.config.claims] if item.published]
    return written + draw_audit(files.folder, published, referred)


def summary_text(folder: Path | str, root: Path | str) -> str:
    """Return the first table of a drawn study as text of at most 100 columns, and why runs failed."""
    files = StudyResults(folder)
    lost = failures(files)
    return _first_table(files, Published(root)) + "".join(f"{line}\n" for line in ["", *lost] if lost)


def failures(files: StudyResults) -> list[str]:
    """Return a line for each model and dataset without a number: its status and the reason."""
    runs = select_runs(files)
    runs = runs[~runs["status"].isin(USABLE)].drop_duplicates(["dataset", "label", "status", "reason"])
    return [
        one_line(f"{run.label} on {files.titles.get(run.dataset, run.dataset)}: {run.status}, {run.reason}")
        for run in runs.itertuples()
    ]


def _first_table(files: StudyResults, published: Published) -> str:
    if not files.config.tables:
        return f"Study '{files.config.name}' has no table.\n"
    table = files.config.tables[0]
    return to_text(lay_out(files, table, published))
