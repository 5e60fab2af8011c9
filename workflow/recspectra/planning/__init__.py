"""What the Snakefile asks, before any job and without a numerical library.

`load` reads and checks settings and studies and returns the `Plan`: paths, inputs and parameters of every
job. `place` holds what the checkout's folder must allow, `records` compares results on disk with the plan,
`requests` says what a scheduler is asked for.
"""

from recspectra.planning.plan import (
    COLLECTED,
    KEEP,
    PUBLISHED,
    Plan,
    Present,
    mirror_of,
    plain,
    raw_digests,
)
from recspectra.planning.studies import load

__all__ = [
    "COLLECTED", "KEEP", "PUBLISHED", "Plan", "Present", "load", "mirror_of", "plain",
    "raw_digests",
]  # fmt: skip
