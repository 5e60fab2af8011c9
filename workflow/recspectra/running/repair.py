"""Find the damaged files of a results folder, and rebuild them without what was made from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from recspectra.files import ArtifactError, Checksum, read_json, read_npz, verify

ASIDE = ".damaged"
LEFT_OUT = ("raw", "reference")  # not written by jobs, or not to be rebuilt


def damaged(results: Path) -> Iterator[tuple[Path, str]]:
    """Yield every npz and JSON of a results folder that is not what was written, and why."""
    for path in sorted(results.rglob("*")):
        inside = path.relative_to(results).parts
        if path.suffix in (".npz", ".json") and inside[0] not in LEFT_OUT and not path.name.startswith("."):
            try:
                _check(path)
            except ArtifactError as error:
                yield path, str(error)


def _check(path: Path) -> None:
    """Raise `ArtifactError` for a damaged file."""
    if path.suffix == ".json":
        read_json(path)
    elif Checksum.read(path) is None:
        read_npz(path)  # written by an earlier version: the CRCs inside see most damage
    else:
        verify(path)


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
    """Let Snakemake make the broken files again; an npz with the numbers that it had keeps its time.

    Snakemake goes by time: otherwise all that was made from the sound file would be made again.

    Parameters
    ----------
    results : Path
        The results folder.
    broken : list of Path
        Damaged files, relative to the folder that Snakemake works in.
    build : callable
        Builds targets and returns the exit status, which is returned.
    """
    before = _written(results)
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
        _give_times_back(before, _written(results))


def _written(results: Path) -> dict[Path, tuple[str, int]]:
    """Return the checksum of the numbers of every npz and when it was written."""
    found = {}
    for place in results.rglob("*.npz.sha256"):
        path = place.with_suffix("")
        try:
            checksum = Checksum.read(path)
        except ArtifactError:
            continue
        if checksum is not None:
            found[path] = checksum.numbers, place.stat().st_mtime_ns
    return found


def _give_times_back(before: dict[Path, tuple[str, int]], now: dict[Path, tuple[str, int]]) -> None:
    for path, (numbers, time) in now.items():
        old, then = before.get(path, ("", time))
        if old == numbers and then != time and path.exists():
            for file in (path, Checksum.place(path)):
                os.utime(file, ns=(then, then))
