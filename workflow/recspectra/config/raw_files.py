"""Raw files that several datasets share: one file, whatever any of them knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig, SourceFile

KINDS = ("sha256", "md5", "git", "url")


@dataclass(frozen=True)
class RawFile:
    """A file of a source.

    Attributes
    ----------
    dataset : str
        A dataset that needs it and, if any does, knows where to download it.
    file : SourceFile
        Its entry there, with every checksum that a dataset states for it.
    problem : str
        Which datasets state different checksums or addresses; empty if none do.
    """

    dataset: str
    file: SourceFile
    problem: str = ""

    @property
    def checksum(self) -> str:
        """What the file must be, as text: its sha256, else its md5, else nothing."""
        return self.file.sha256 or self.file.md5 or ""


def raw_files(catalog: Catalog) -> dict[tuple[str, str], RawFile]:
    """Return the raw files of all datasets by (source, path)."""
    entries: dict[tuple[str, str], list[tuple[str, SourceFile]]] = {}
    spelled: dict[str, tuple[str, str]] = {}  # some file systems know no upper and lower case
    for dataset in catalog.names("datasets"):
        source = catalog.dataset(dataset).source
        for file in source.files:
            key = source.name, file.path
            if (first := spelled.setdefault("/".join(key).casefold(), key)) != key:
                raise ConfigError(
                    f"config/datasets/{dataset}.yaml: {'/'.join(key)} and {'/'.join(first)} (source.name and "
                    "path) differ by upper and lower case alone, and are one file on some disks; rename one"
                )
            entries.setdefault(key, []).append((dataset, file))
    return {(source, path): _joined(source, path, found) for (source, path), found in entries.items()}


def raw_file(catalog: Catalog, source: str, path: str) -> RawFile | None:
    """Return one raw file, None if no dataset has it.

    Raises
    ------
    ConfigError
        Two datasets state different checksums or addresses for it.
    """
    found = raw_files(catalog).get((source, path))
    if found and found.problem:
        raise ConfigError(found.problem)
    return found


def files_of(catalog: Catalog, dataset: DatasetConfig) -> list[SourceFile]:
    """Return the raw files of a dataset, each with what any dataset states of it.

    Raises
    ------
    ConfigError
        Another dataset states something else.
    """
    known = raw_files(catalog) if dataset.source.files else {}
    found = [known[dataset.source.name, file.path] for file in dataset.source.files]
    if problem := next((raw.problem for raw in found if raw.problem), ""):
        raise ConfigError(problem)
    return [raw.file for raw in found]


def _joined(source: str, path: str, entries: list[tuple[str, SourceFile]]) -> RawFile:
    dataset, file = next(((d, f) for d, f in entries if f.url), entries[0])
    known: dict[str, tuple[str, str]] = {}
    for owner, entry in entries:
        for kind in KINDS:
            stated = getattr(entry, kind)
            if stated is None:
                continue
            first, value = known.setdefault(kind, (owner, stated))
            if stated != value:
                return RawFile(
                    dataset, file, _disagreement(source, path, kind, (first, value), (owner, stated))
                )
    unsaid = next((owner for owner, entry in entries if not (entry.url or entry.sha256 or entry.md5)), "")
    if "url" in known and unsaid:
        return RawFile(dataset, file, _one_sided(source, path, known["url"], unsaid))
    stated = {kind: value for kind, (_, value) in known.items()}
    if not all(entry.git for _, entry in entries):  # it lets another file in, so all must know it
        stated["git"] = None
    return RawFile(dataset, file.model_copy(update=stated | _strictest(entries)))


def _strictest(entries: list[tuple[str, SourceFile]]) -> dict[str, Any]:
    """Return the limits of a download that all datasets that know its address allow."""
    given = [entry for _, entry in entries if entry.url]
    if not given:
        return {}
    return {"insecure": all(e.insecure for e in given), "max_gb": min(e.max_gb for e in given)}


def _one_sided(source: str, path: str, known: tuple[str, str], unsaid: str) -> str:
    dataset, url = known
    return (
        f"source '{source}', file '{path}': config/datasets/{dataset}.yaml takes it from {url}, "
        f"config/datasets/{unsaid}.yaml says neither where it is from nor what it is; give the latter the "
        "file's sha256, or give one of them another `source.name`"
    )


def _disagreement(source: str, path: str, kind: str, one: tuple[str, str], other: tuple[str, str]) -> str:
    shown = (lambda value: value) if kind == "url" else (lambda value: f"{value[:12]}...")
    where = [f"{shown(value)} in config/datasets/{dataset}.yaml" for dataset, value in (one, other)]
    return (
        f"source '{source}', file '{path}': its {kind} is {' but '.join(where)}; datasets of one source "
        "share its files: correct the wrong one, or give one of them another `source.name`"
    )
