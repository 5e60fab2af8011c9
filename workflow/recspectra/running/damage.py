"""Which files of a results folder are damaged, and what killed jobs left there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recspectra.files import ArtifactError, read_json, read_npz

ASIDE = ".damaged"
LEFT_OUT = ("raw", "reference")  # not written by jobs, or not to be rebuilt
RECORDED = ("interactions", "data", "spectra")  # runs hold the digest of what they were made from
READERS = {".npz": read_npz, ".json": read_json}


def damaged(results: Path) -> Iterator[tuple[Path, str]]:
    """Yield every npz and JSON of a results folder that is cut short or of another run, and why."""
    for path in sorted(results.rglob("*")):
        inside = path.relative_to(results).parts
        if path.suffix in READERS and inside[0] not in LEFT_OUT and not path.name.startswith("."):
            try:
                content = READERS[path.suffix](path)
            except ArtifactError as error:
                yield path, str(error)
            else:
                if inside[0] == "runs" and (other := _of_another_run(path, content)):
                    yield path, f"{path}: is of run {other}; was it moved here?"


def _of_another_run(path: Path, content: Any) -> str:
    """Return which run a file of a run's folder says that it is of, or an empty text."""
    if not isinstance(content, dict):
        return ""
    own = path.parent.parent.name, path.parent.name
    told = str(content.get("key", own[0])), f"seed-{content['seed']}" if "seed" in content else own[1]
    return "" if told == own else "/".join(told)


def half_written(results: Path) -> list[Path]:
    """Return the temporary files of writers that were killed; while a workflow runs, also of living ones."""
    hidden = (path for path in sorted(results.rglob(".*")) if path.is_file())
    return [path for path in hidden if path.suffix in (".tmp", ASIDE)]


def listed(results: Path) -> list[Path]:
    """Print the damaged files, how many there are and what killed jobs left; return the damaged ones."""
    found, left = list(damaged(results)), half_written(results)
    lines = [*(reason for _, reason in found), f"{results}: {len(found)} damaged file(s)"]
    if left:
        size = sum(path.stat().st_size for path in left) / 2**20
        lines.append(f"{len(left)} half-written file(s) of killed jobs ({size:.1f} MB), never read")
    print("\n".join(lines), flush=True)
    return [path for path, _ in found]


def rebuild(results: Path, broken: list[Path], build: Callable[[list[str]], int]) -> int:
    """Let Snakemake make the broken files again; data and spectra keep their time.

    Snakemake goes by time: otherwise all that was fitted with the sound file would be fitted again.
    Should its numbers have changed after all, the digests in the records of the runs say so.

    Parameters
    ----------
    results : Path
        The results folder.
    broken : list of Path
        Damaged files, relative to the folder that Snakemake works in.
    build : callable
        Builds targets and returns the exit status, which is returned.
    """
    times = {path: path.stat().st_mtime_ns for part in RECORDED for path in (results / part).rglob("*.npz")}
    aside = {path: path.with_name(f".{path.name}{ASIDE}") for path in broken}
    for path, place in aside.items():
        path.replace(place)
    try:
        return build([str(path) for path in broken])
    finally:
        for path, place in aside.items():
            if path.exists():
                place.unlink()
            else:
                place.replace(path)
        for path, then in times.items():
            if path.exists():
                os.utime(path, ns=(then, then))
