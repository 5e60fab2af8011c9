"""Raw files that several datasets share: one file, whatever any of them knows of it."""

from __future__ import annotations

from dataclasses import dataclass

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import SourceFile

KINDS = ("sha256", "md5", "git")


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
        Which datasets state different checksums; empty if none do.
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
    for dataset in catalog.names("datasets"):
        source = catalog.dataset(dataset).source
        for file in source.files:
            entries.setdefault((source.name, file.path), []).append((dataset, file))
    return {(source, path): _joined(source, path, found) for (source, path), found in entries.items()}


def raw_file(catalog: Catalog, source: str, path: str) -> RawFile | None:
    """Return one raw file, None if no dataset has it.

    Raises
    ------
    ConfigError
        Two datasets state different checksums for it.
    """
    found = raw_files(catalog).get((source, path))
    if found and found.problem:
        raise ConfigError(found.problem)
    return found


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
    return RawFile(dataset, file.model_copy(update={kind: value for kind, (_, value) in known.items()}))


def _disagreement(source: str, path: str, kind: str, one: tuple[str, str], other: tuple[str, str]) -> str:
    where = [f"{value[:12]}... in config/datasets/{dataset}.yaml" for dataset, value in (one, other)]
    return (
        f"source '{source}', file '{path}': its {kind} is {' but '.join(where)}; datasets of one source "
        "share its files: correct the wrong one, or give one of them another `source.name`"
    )
