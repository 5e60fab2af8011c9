"""What an eigensolver leaves on disk, for jobs that need no solver."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from recspectra.files import ArtifactError, read_npz, sha256_of_arrays, write_npz
from recspectra.identity import check_code, check_made_from


@dataclass(frozen=True)
class Spectrum:
    """Leading eigenpairs of an operator A, largest eigenvalue first.

    Attributes
    ----------
    values : float64 array, shape (r,)
        Eigenvalues, descending.
    vectors : float32 array, shape (size, r)
        Orthonormal eigenvectors; the entry of largest magnitude is positive.
    residuals : float64 array, shape (r,)
        ||A v - lambda v|| of each pair, for the stored vectors.
    lowest : float
        Smallest eigenvalue of A (the other end of the spectrum).
    solver : str
        Name of the backend.
    seconds : float
        Wall time of the solve.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    lowest: float
    solver: str
    seconds: float

    @property
    def rank(self) -> int:
        """Number of eigenpairs."""
        return len(self.values)

    def top(self, rank: int) -> Spectrum:
        """Return the leading `rank` pairs (all of them when there are fewer)."""
        keep = slice(0, rank)
        return Spectrum(
            self.values[keep],
            np.ascontiguousarray(self.vectors[:, keep]),
            self.residuals[keep],
            self.lowest,
            self.solver,
            self.seconds,
        )

    @cached_property
    def digest(self) -> str:
        """sha256 of the eigenpairs and the lowest eigenvalue, in hex digits."""
        return sha256_of_arrays(
            {"values": self.values, "vectors": self.vectors, "lowest": np.float64(self.lowest)}
        )

    def save(self, path: Path | str, data: str = "", code: str = "") -> None:
        """Write to an npz file, atomically.

        Parameters
        ----------
        path : Path
            Where to.
        data : str
            Digest of the interactions that the operator was built from (`identity.data_digest`).
        code : str
            Hash of the code that solved for the pairs.
        """
        write_npz(
            path,
            values=self.values,
            vectors=self.vectors,
            residuals=self.residuals,
            lowest=np.float64(self.lowest),
            solver=np.str_(self.solver),
            seconds=np.float64(self.seconds),
            data=np.str_(data),
            code=np.str_(code),
        )

    @classmethod
    def load(cls, path: Path | str, data: str | None = None, code: str | None = None) -> Spectrum:
        """Read what `save` wrote.

        Parameters
        ----------
        path : Path
            `results/spectra/DATASET/OPERATOR@PART-rRANK.npz`.
        data : str, optional
            Digest that the interactions behind the operator have now; nothing is compared without it.
        code : str, optional
            Hash of the code that solves for eigenpairs now; likewise.

        Raises
        ------
        ArtifactError
            The file is missing, damaged, or of other interactions or code.
        """
        a = read_npz(path)
        if data is not None:
            check_made_from(path, str(a.get("data", "")), data, Path(path).parent.name)
        if code is not None:
            check_code(path, str(a.get("code", "")), code, Path(path).parent.name)
        try:
            return cls(
                a["values"],
                a["vectors"],
                a["residuals"],
                float(a["lowest"]),
                str(a["solver"]),
                float(a["seconds"]),
            )
        except KeyError as error:
            raise ArtifactError(f"{path}: array {error} is missing; delete it and run again") from None
