"""What several tests of models take."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from recspectra.data.interactions import Interactions
from recspectra.spectral.operators import normalised


@pytest.fixture(scope="module")
def r(train: Interactions) -> sp.csr_array:
    """The normalised interactions of the tiny data set."""
    return normalised(train.matrix).astype(np.float32)
