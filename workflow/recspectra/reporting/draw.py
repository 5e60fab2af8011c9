"""Draw everything of one study folder from the files in it."""

from __future__ import annotations

from pathlib import Path

from recspectra import registry
from recspectra.config.scale import USABLE
from recspectra.config.study import TableConfig
from recspectra.files import write_text
from recspectra.reporting import activity, claims, runtime, sizes, tables
from recspectra.reporting.audit import draw_audit
from recspectra.reporting.claims import draw_claims
from recspectra.reporting.claims.common import VERDICTS
from recspectra.reporting.escape import one_line
from recspectra.reporting.figures import draw_costs, draw_figures
from recspectra.reporting.footnotes import scale_of
from recspectra.reporting.latex import to_latex
from recspectra.reporting.published import Published
from recspectra.reporting.results import (
    StudyResults,
    leaked_lists,
    not_converged,
    read_csv,
    select_runs,
    write_csv,
)
from recspectra.reporting.standings import draw_standings
from recspectra.reporting.table import Table, to_csv, to_markdown, to_text
from recspectra.reporting.worlds import draw_worlds

SUMMARY = "summary.txt"  # what `make` prints at the end
TABLE_FILES = ("table-{name}.csv", "table-{name}.md", "table-{name}.tex", "sheet-{name}.csv")
GENERIC = {
    name: registry.TableKind(name, module.COLUMNS, module.NUMBERS, module.build, module.lay_out)
    for name, module in zip(registry.GENERIC_TABLES, (tables, runtime, activity, sizes), strict=True)
}


def draw_table(files: StudyResults, table: TableConfig, published: Published) -> list[str]:
    """Write a table's long form, then the table that is laid out from it; return the names of its files."""
    names = [pattern.format(name=table.name) for pattern in TABLE_FILES]
    kind = GENERIC.get(table.kind) or registry.tables()[table.kind]
    write_csv(files.folder / names[0], kind.build(files, table, published))
    laid = lay_out(files, table, published)
    texts = [to_markdown(laid), to_latex(laid, f"{files.config.name}-{table.name}"), to_csv(laid)]
    for name, text in zip(names[1:], texts, strict=True):
        write_text(files.folder / name, text)
    return names


def lay_out(files: StudyResults, table: TableConfig, published: Published) -> Table:
    """Return a table of any kind as it is printed, from its long form on disk."""
    kind = GENERIC.get(table.kind) or registry.tables()[table.kind]
    path = files.folder / f"table-{table.name}.csv"
    frame = read_csv(path, kind.columns, kind.numbers, tables.HINT)
    return kind.lay_out(files, table, published, frame)


def draw(folder: Path | str, root: Path | str) -> list[str]:
    """Make all tables, figures, claims and `audit.csv` of a study: `draw_tables`, then `draw_figures`."""
    return draw_tables(folder, root) + draw_figures(folder, root)


def draw_tables(folder: Path | str, root: Path | str) -> list[str]:
    """Make what a study has besides its figures: tables, worlds, claims, standings, audit and summary.

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
        written += draw_table(files, table, published)
    written += draw_worlds(files, published)
    written += draw_claims(files, published)
    written += draw_standings(files)
    written += draw_costs(files)
    write_text(files.folder / SUMMARY, summary_text(files, published))
    referred = [item.published for item in [*files.config.tables, *files.config.claims] if item.published]
    return [*written, SUMMARY, *draw_audit(files.folder, published, referred)]


def summary_text(files: StudyResults, published: Published) -> str:
    """Return the first table of a drawn study as text, what to mind, its verdicts, and why runs failed."""
    blocks = [_cautions(files), _verdicts(files), failures(files)]
    return _first_table(files, published) + "".join(
        f"{line}\n" for block in blocks if block for line in ["", *block]
    )


def _cautions(files: StudyResults) -> list[str]:
    """Return what a reader of the numbers must know: cut searches, short training, leaked lists."""
    runs, found = select_runs(files), []
    asked = files.config.tuning.trials if not files.tuning.empty and files.config.tuning else 0
    if asked > (most := scale_of(files).count_trials(asked)):
        found.append(f"Searches had {most} of the study's {asked} trials.")
    if ended := list(dict.fromkeys(not_converged(files, runs)["label"])):
        found.append(f"Still gaining when their epochs ran out, more may lift them: {', '.join(ended)}")
    for (dataset, model, key), told in leaked_lists(files).items():
        same = (runs["dataset"] == dataset) & (runs["model"] == model) & (runs["key"] == key)
        title = files.titles.get(dataset, dataset)
        found += [f"{label} on {title}: {'; '.join(told)}" for label in runs.loc[same, "label"].unique()]
    return [one_line(line) for line in found]


def _verdicts(files: StudyResults) -> list[str]:
    """Return how many statements of a drawn study have each verdict, in a line; nothing without claims."""
    if not files.config.claims:
        return []
    rows = claims.read(files.folder)
    judged = rows.loc[rows["scope"].isin(["claim", "listed"]), "verdict"].value_counts()
    counts = ", ".join(f"{judged.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
    return [f"Judged statements: {counts} (claims.csv; the report says why)"]


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
