"""A finished study as a Workflow Run RO-Crate: its files, and what made each, in `ro-crate-metadata.json`.

The crate follows the Provenance Run Crate profile 0.5: a workflow with steps, an action for every run and for
every other step, and the files that came of them. Data are named by their digests and are not included.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recspectra.config.scale import USABLE
from recspectra.files import atomic, write_json
from recspectra.reporting.pages.pictures import read
from recspectra.reporting.pages.place import run_command, run_files, study_command
from recspectra.reporting.results import JOIN, StudyResults, select_runs

PROFILES = {
    "process": "Process Run Crate",
    "workflow": "Workflow Run Crate",
    "provenance": "Provenance Run Crate",
}
PROFILE = "https://w3id.org/ro/wfrun/{name}/0.5"
WORKFLOW_PROFILE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
LICENCE = "https://spdx.org/licenses/MIT"
ENGINE, LANGUAGE = "#snakemake", "#snakemake-language"
FORMATS = {".csv": "text/csv", ".json": "application/json", ".md": "text/markdown", ".png": "image/png",
           ".svg": "image/svg+xml", ".tex": "application/x-tex", ".yaml": "application/yaml"}  # fmt: skip
SNAKEMAKE, DONE, FAILED = (
    "https://snakemake.github.io",
    "http://schema.org/CompletedActionStatus",
    "http://schema.org/FailedActionStatus",
)
DRAWN = (
    "table-",
    "sheet-",
    "fig-",
    "claims",
    "audit",
    "standings",
    "summary",
)  # how names of drawn files start
STEPS = ("fit", "evaluate", "collect", "draw")  # each a script of workflow/scripts

Entity = dict[str, Any]


@dataclass
class Crate:
    """What a crate holds so far: entities of the metadata, and the files to copy by their place in it."""

    entities: dict[str, Entity] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)

    def add(self, at: str, kind: str | list[str], /, **properties: Any) -> dict[str, str]:
        """Add an entity and return a reference to it."""
        self.entities[at] = {"@id": at, "@type": kind, **properties}
        return {"@id": at}

    def add_file(self, at: str, path: Path, /, **properties: Any) -> dict[str, str]:
        """Add a file with its size and digest, and return a reference to it."""
        content = read(path)
        self.files[at] = path
        about = {"name": path.name, "contentSize": str(len(content)),
                 "sha256": hashlib.sha256(content).hexdigest(),
                 "encodingFormat": FORMATS.get(path.suffix, "text/plain")}  # fmt: skip
        return self.add(at, "File", **about | properties)


def write_crate(folder: Path, root: Path, target: Path) -> Path:
    """Write the crate of a drawn study and return the path of its metadata.

    Parameters
    ----------
    folder : Path
        `results/studies/{study}`.
    root : Path
        The project folder with the `Snakefile`.
    target : Path
        Where the crate is written; what lies there of an earlier one is replaced.

    Raises
    ------
    StudyError, ArtifactError
        A file is missing or cannot be read.
    """
    crate = build(StudyResults(folder), Path(root))
    shutil.rmtree(target, ignore_errors=True)
    for name, path in crate.files.items():
        with atomic(target / name) as temporary:
            temporary.write_bytes(read(path))
    metadata = target / "ro-crate-metadata.json"
    write_json(metadata, {"@context": CONTEXT, "@graph": list(crate.entities.values())})
    return metadata


def build(files: StudyResults, root: Path) -> Crate:
    """Return the crate of a study."""
    crate, config = Crate(), files.config
    day = _time(files.folder / "study.json")
    crate.add("ro-crate-metadata.json", "CreativeWork", about={"@id": "./"},
              conformsTo=[{"@id": "https://w3id.org/ro/crate/1.1"}, {"@id": WORKFLOW_PROFILE}])  # fmt: skip
    profiles = [crate.add(PROFILE.format(name=name), "CreativeWork", name=title, version="0.5")
                for name, title in PROFILES.items()]  # fmt: skip
    profiles.append(crate.add(WORKFLOW_PROFILE, "CreativeWork", name="Workflow RO-Crate", version="1.0"))
    study = _study_file(crate, files)
    _add_tools(crate, files, root)
    results = [crate.add_file(path.name, path) for path in _results(files)]
    data = list(_data(crate, files))
    actions = [*_fits(crate, files, study, data), *_others(crate, files, results, day)]
    workflow = {"@id": "Snakefile"}
    run = crate.add("#workflow-run", "CreateAction", name=f"Run of {config.title}", instrument=workflow,
                    object=[study, *data], result=results, endTime=day, agent={"@id": ENGINE},
                    description=study_command(files))  # fmt: skip
    controls = list(_controls(crate, actions))
    crate.add("#organize", "OrganizeAction", name="Run of Snakemake", instrument={"@id": ENGINE}, result=run,
              object=controls, endTime=day)  # fmt: skip
    mentions = [run, {"@id": "#organize"}, *({"@id": name} for name in actions)]
    crate.add("./", "Dataset", name=f"RecSpectra: {config.title}", datePublished=day,
              description=config.description or config.title, license={"@id": LICENCE},
              conformsTo=profiles, mainEntity=workflow,
              hasPart=[{"@id": name} for name in crate.files], mentions=mentions)  # fmt: skip
    crate.add(LICENCE, "CreativeWork", name="MIT License", identifier=LICENCE)
    return crate


def _study_file(crate: Crate, files: StudyResults) -> dict[str, str]:
    """Add the study's YAML, or its resolved record where the file has gone, as the workflow's input."""
    origin = Path(files.study.get("origin", ""))
    path = origin if origin.is_file() else files.folder / "study.json"
    parameter = {"@id": "#parameter-study"}
    study = crate.add_file(f"study/{path.name}", path, exampleOfWork=parameter)
    crate.add("#parameter-study", "FormalParameter", name="study", additionalType="File", workExample=study,
              valueRequired=True, description="What is run and drawn")  # fmt: skip
    return study


def _add_tools(crate: Crate, files: StudyResults, root: Path) -> None:
    """Add the workflow, its engine, and the script of every step."""
    about = files.study.get("provenance", {})
    version = about.get("packages", {}).get("snakemake", "unknown")
    made_by = about.get("commit") or about.get("recspectra", "unknown")
    crate.add(ENGINE, "SoftwareApplication", name="Snakemake", softwareVersion=version,
              url=SNAKEMAKE)  # fmt: skip
    crate.add(LANGUAGE, "ComputerLanguage", name="Snakemake", alternateName="snakemake",
              identifier={"@id": SNAKEMAKE}, url={"@id": SNAKEMAKE})  # fmt: skip
    tools = [crate.add_file(f"scripts/{step}.py", root / "workflow" / "scripts" / f"{step}.py",
                            encodingFormat="text/x-python") for step in STEPS]  # fmt: skip
    for place, (step, tool) in enumerate(zip(STEPS, tools, strict=True)):
        crate.entities[tool["@id"]] |= {
            "@type": ["File", "SoftwareSourceCode", "SoftwareApplication"],
            "name": step,
            "version": made_by,
        }
        crate.add(f"#step-{step}", "HowToStep", name=step, position=str(place), workExample=tool)
    crate.add_file("Snakefile", root / "Snakefile", hasPart=tools, input=[{"@id": "#parameter-study"}],
                   step=[{"@id": f"#step-{step}"} for step in STEPS],
                   programmingLanguage={"@id": LANGUAGE})  # fmt: skip
    crate.entities["Snakefile"] |= {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "RecSpectra", "version": made_by,
    }  # fmt: skip


def _results(files: StudyResults) -> list[Path]:
    """Return the files of a study's folder: numbers, tables, figures, claims."""
    return sorted(path for path in files.folder.iterdir() if path.is_file() and path.suffix in FORMATS)


def _data(crate: Crate, files: StudyResults) -> Iterator[dict[str, str]]:
    """Add the digest of every dataset's split."""
    for name, digest in files.study.get("digests", {}).items():
        title = files.titles.get(name, name)
        yield crate.add(f"#data-{name}", "PropertyValue", name=f"sha256 of the split of {title}",
                        propertyID="https://schema.org/sha256", value=digest)  # fmt: skip


def _fits(crate: Crate, files: StudyResults, study: dict[str, str], data: list[dict[str, str]]) -> list[str]:
    """Add an action for every run, its record as the result; return their names."""
    names, known = [], {one["@id"] for one in data}
    for run in select_runs(files).drop_duplicates(JOIN).itertuples():
        place = f"{run.dataset}/{run.model}/{run.key}/seed-{run.seed}"
        record = run_files(files, run)["run.json"]
        made = [crate.add_file(f"runs/{place}/run.json", record)] if record.is_file() else []
        used = [study, *([{"@id": f"#data-{run.dataset}"}] if f"#data-{run.dataset}" in known else [])]
        why = {"error": f"{run.status}: {run.reason}"} if run.status not in USABLE else {}
        crate.add(f"#fit/{place}", "CreateAction", name=f"fit {run.label} on {run.dataset}, seed {run.seed}",
                  instrument={"@id": "scripts/fit.py"}, object=used, result=made,
                  actionStatus=DONE if run.status in USABLE else FAILED, description=run_command(files, run),
                  **({"endTime": _time(record)} if made else {}), **why)  # fmt: skip
        names.append(f"#fit/{place}")
    return names


def _others(crate: Crate, files: StudyResults, results: list[dict[str, str]], day: str) -> list[str]:
    """Add an action for each later step, with the files that it wrote; return their names."""
    drawn = [one for one in results if one["@id"].startswith(DRAWN)]
    collected = [one for one in results if one not in drawn]
    records = [{"@id": name} for name in crate.files if name.startswith("runs/")]
    parts = [crate.add_file(f"parts/{path.name}", path) for path in sorted(files.folder.glob("parts/*.csv"))]
    for step, used, made in (("evaluate", records, parts), ("collect", [*parts, *records], collected),
                             ("draw", collected, drawn)):  # fmt: skip
        tool = {"@id": f"scripts/{step}.py"}
        crate.add(f"#{step}", "CreateAction", name=step, description=f"{step} the study", instrument=tool,
                  object=used, result=made,
                  endTime=day, actionStatus=DONE)  # fmt: skip
    return ["#evaluate", "#collect", "#draw"]


def _controls(crate: Crate, actions: Iterable[str]) -> Iterator[dict[str, str]]:
    """Add what says of which step every action is."""
    for name in actions:
        step = name[1:].partition("/")[0]
        yield crate.add(f"#control-{name[1:]}", "ControlAction", name=f"orchestrate {name[1:]}",
                        instrument={"@id": f"#step-{step}"}, object={"@id": name})  # fmt: skip


def _time(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
