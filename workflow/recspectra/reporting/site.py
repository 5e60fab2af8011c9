"""The HTML report: a folder of plain files about one or several drawn studies, and the same as a zip."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recspectra.config.base import ConfigError
from recspectra.files import PACKAGE_DIR, ArtifactError, atomic, write_text
from recspectra.reporting.claims.common import RULES
from recspectra.reporting.pages import charts, home, runs
from recspectra.reporting.pages.environment import environment, fill
from recspectra.reporting.pages.glossary import METRICS, TERMS
from recspectra.reporting.pages.pictures import choose, picture, read
from recspectra.reporting.pages.place import Place, results_of
from recspectra.reporting.pages.study import StudyView, provenance, study_view
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyError
from recspectra.reporting.tables import MARK_NOTES

INDEX = "index.html"
STATIC = ("static", "vendor")  # folders of workflow/report that are copied
MOST_IN_ZIP = 2**18  # bytes of a run's record or log that the zip takes along
DAY_ONE = (1980, 1, 1, 0, 0, 0)  # of every file in the zip: equal reports give equal bytes


@dataclass(frozen=True)
class Report:
    """The pages by name, tables and pictures by their place in the report, the files that pages link to."""

    pages: dict[str, str]
    tables: dict[str, str]
    pictures: dict[str, Path]
    linked: dict[str, Path]


def write_report(
    output: Path | str, folders: list[Path], root: Path | str, also: list[Path] | None = None
) -> list[str]:
    """Write the report on some drawn study folders: `output` is its first page, all else lies in its folder.

    Folders in `also` are added where they can be read; one left by an older version
    or an interrupted job is not, and the reason is returned.
    """
    output, published = Path(output).absolute(), Published(root)
    place = Place(output.parent)
    views = [study_view(Path(folder), published, place) for folder in folders]
    left_out = []
    for folder in also or []:
        try:
            views.append(study_view(Path(folder), published, place))
        except (StudyError, ArtifactError, ConfigError) as error:
            left_out.append(f"left out: {error}")
    report = assemble(views, published, root, place)
    made = {name: text.encode() for name, text in (report.pages | report.tables).items()}
    made |= {name: picture(path) for name, path in report.pictures.items()}
    made |= dict(_static(Path(root)))
    _clear(output.parent, set(made))
    _write(output, made)
    _pack(output.parent.with_suffix(".zip"), output.parent.name, made, report.linked)
    return left_out


def render(folders: Sequence[Path], root: Path | str, report: Path | None = None) -> dict[str, str]:
    """Return the pages of the report on some drawn studies, by name; `report` is where they will lie."""
    published = Published(root)
    place = Place(report or (Path(folders[0]).parents[1] / "report" if folders else Path("report")))
    views = [study_view(Path(folder), published, place) for folder in folders]
    return assemble(views, published, root, place).pages


def assemble(views: Sequence[StudyView], published: Published, root: Path | str, place: Place) -> Report:
    """Return the report on some studies.

    Parameters
    ----------
    views : sequence of StudyView
        Studies that `draw` has been through, no name twice.
    published : Published
        Printed numbers.
    root : Path
        The project folder with `workflow/report/`.
    place : Place
        Where the report will lie.

    Raises
    ------
    StudyError
        There is no study, or a template is broken.
    """
    if not views:
        raise StudyError("no study folder is given; nothing to report on")
    views = list({view.name: view for view in views}.values())
    templates = environment(root)
    shared = {"studies": views, "marks": MARK_NOTES}
    points = {view.name: home.compared(view, published) for view in views}
    tables = {view.name: runs.tables_of(view) for view in views}
    lines = [line for view in views for line in runs.runs_of(view, place, tables[view.name])]
    contexts = {INDEX: ("index.html.j2", _index(views, points, published))}
    contexts |= {view.page: ("study.html.j2", {"study": view}) for view in views}
    contexts["runs.html"] = (
        "runs.html.j2",
        {
            "runs": lines,
            "fits": runs.count_fits(lines),
            "metric": runs.one_metric(lines),
            "size": runs.CURVE_SIZE,
        },
    )
    made = {view.name: provenance(view.files, view.runs) for view in views}
    contexts["status.html"] = ("status.html.j2", {"status": home.status(views), "provenance": made})
    contexts["guide.html"] = ("guide.html.j2", {"metrics": METRICS, "terms": TERMS, "rules": RULES})
    pages = {
        name: fill(templates, file, page=name, **shared, **more) for name, (file, more) in contexts.items()
    }
    files = {name: text for own in tables.values() for name, text in own.items()}
    return Report(pages, files, _pictures(views), _linked(views))


def _index(views: Sequence[StudyView], points: dict[str, list[dict]], published: Published) -> dict:
    """Return what the first page shows."""
    every = [point for part in points.values() for point in part]
    costs = {view.name: charts.cost_points(view.standings, view.files.titles) for view in views}
    return {
        "status": home.status(views),
        "leaders": {view.name: home.leaders(view, published) for view in views},
        "spreads": {view.name: home.spreads(view) for view in views},
        "cost_pictures": {view.name: _cost_address(view) for view in views if _cost_picture(view)},
        "cost_specs": {name: charts.cost_spec(part) for name, part in costs.items() if part},
        "many_models": {name: not all(point["named"] for point in part) for name, part in costs.items()},
        "published_spec": charts.published_spec(every) if every else None,
        "gaps": home.gaps(every),
        "compared": every,
    }


def _pictures(views: Sequence[StudyView]) -> dict[str, Path]:
    """Return figures by their place in the report."""
    found = {figure.address: figure.path for view in views for figure in view.figures}
    return found | {_cost_address(view): path for view in views if (path := _cost_picture(view))}


def _linked(views: Sequence[StudyView]) -> dict[str, Path]:
    """Return the files of runs and studies that pages link to, by their place in the results."""
    return {path.relative_to(results_of(view.files).root).as_posix(): path
            for view in views for path in runs.files_of(view)}  # fmt: skip


def _cost_picture(view: StudyView) -> Path | None:
    """Return the picture that stands for a chart without a script, if there is one that runs nothing."""
    path = choose(view.files.folder / "standings.png")
    return path if path.suffix == ".svg" else None


def _cost_address(view: StudyView) -> str:
    return f"figures/{view.name}/standings/costs.svg"


# ------------------------------------------------------------------------------- files


def _static(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the scripts and styles that pages load, ours and those of others, with their licences."""
    own = root / "workflow" / "report"
    base = own if own.is_dir() else PACKAGE_DIR.parent / "report"
    for name in STATIC:
        for path in sorted((base / name).iterdir()):
            yield f"{name}/{path.name}", path.read_bytes()


def _clear(folder: Path, keep: set[str]) -> None:
    """Remove pages, tables and pictures of studies that the report no longer has."""
    for path in [*folder.glob("study-*.html"), *folder.glob("figures/**/*.*"), *folder.glob("runs/**/*.csv")]:
        if path.relative_to(folder).as_posix() not in keep:
            path.unlink()


def _write(output: Path, made: dict[str, bytes]) -> None:
    """Write all files, the first page last: where it is, the others are."""
    for name, content in made.items():
        if name.endswith(".csv"):
            _write_small(output.parent / name, content)
        elif name != INDEX:
            with atomic(output.parent / name) as temporary:
                temporary.write_bytes(content)
    write_text(output, made[INDEX].decode())


def _write_small(path: Path, content: bytes) -> None:
    """Write the numbers of a run without waiting for the disk: of thousands of files that takes a minute."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # a link there would lead elsewhere
        with temporary.open("xb") as stream:
            stream.write(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ArtifactError(
            f"{path}: cannot be written ({error.strerror}); free space and run again"
        ) from error


def _pack(path: Path, folder: str, made: dict[str, bytes], linked: dict[str, Path]) -> None:
    """Write the report as a zip in which links to small files of runs lead somewhere too."""
    with (
        atomic(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        for name, content in made.items():
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", DAY_ONE), content, zipfile.ZIP_DEFLATED)
        for name, source in linked.items():
            if source.is_file() and not source.is_symlink() and source.stat().st_size <= MOST_IN_ZIP:
                archive.writestr(zipfile.ZipInfo(name, DAY_ONE), read(source), zipfile.ZIP_DEFLATED)
