"""Claims of an ablation: is a model above itself without a part?"""

from __future__ import annotations

from itertools import product
from typing import Any

from recspectra.reporting.claims.common import Case, Contest, compare


def judge_ablation(case: Case) -> list[dict[str, Any]]:
    """Return a row for each dataset and pair of variants."""
    contests = [
        Contest(*(case.side(dataset, case.claim.model, variant) for variant in (pair.better, pair.worse)),
                statement=pair.claim)
        for dataset, pair in product(case.datasets, case.claim.pairs)
    ]  # fmt: skip
    return [result.row | {"scope": "claim"} for result in compare(case, contests)]
