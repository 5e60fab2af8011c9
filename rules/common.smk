# Configuration, paths and helpers. Only pydantic, PyYAML and filelock are needed to parse the
# workflow; the package is imported from this checkout, whatever is installed.

import json
import shlex
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT / "workflow"))

from recspectra import planning
from recspectra.planning import place, records
from recspectra import registry
from recspectra.running import interrupts
from recspectra.running import locks
from recspectra.running import messages
from recspectra.running import names
from recspectra.running import slurm
from recspectra.code_hashes import code_hash, fit_code, spectrum_code, tune_code
from recspectra.config.base import ConfigError
from snakemake.logging import logger

if workflow.is_main_process:
    interrupts.watch_workflow(logger)

try:
    locks.check_folder(Path("results"))
    place.check_checkout(ROOT)
    if workflow.is_main_process:
        place.check_conda(workflow)
    PLAN = planning.load(ROOT, config, sys.argv)
    if workflow.is_main_process:
        locks.check_links(Path("results"), Path(".snakemake"))
    if workflow.is_main_process and "--unlock" not in sys.argv:
        records.check_copies(PLAN, sys.argv)
        records.check_results(PLAN, sys.argv)
except ConfigError as error:
    messages.stop(f"configuration error: {error}")
except locks.Busy as error:
    messages.stop(f"error: {error}")
logger.addFilter(messages.explain_targets(PLAN.studies))

NAMES = names.Names(PLAN)
SCRIPTS = ROOT / "workflow" / "scripts"
# Inside a conda environment `python` is the environment's; otherwise it is the one that
# runs Snakemake, whatever PATH says.
INTERPRETER = "python" if place.uses_environments(workflow) else shlex.quote(sys.executable)
# Jobs get it as a resource: unlike a parameter, it reruns nothing when the checkout moves.
VARIABLES = f"RECSPECTRA_ROOT={shlex.quote(str(ROOT))}{PLAN.device_variables}"
PYTHON = f"{VARIABLES} {INTERPRETER} {shlex.quote(str(SCRIPTS))}"


def gpus(dataset, model=None):
    """Return how many GPUs a job asks for; without a model, one of eigenpairs."""
    return PLAN.gpu(dataset, model, workflow.local_exec)


slurm.keep_to_squeue()
if workflow.is_main_process:
    locks.hold_before_snakemake(Path("results"), messages.stop)


# Snakemake's own lock is not enough: see `locks`. With `--nolock` it takes none, so ours is taken here.
onstart:
    if workflow.is_main_process:
        interrupts.watch_termination()
        if not workflow.local_exec:
            try:
                place.check_spawned([ROOT, Path.cwd()])
            except ConfigError as error:
                messages.stop(f"configuration error: {error}")
        try:
            locks.hold(Path("results"))
        except locks.Busy as error:
            messages.stop(f"error: {error}")


onsuccess:
    interrupts.cancel_timers()


onerror:
    interrupts.cancel_timers()


wildcard_constraints:
    dataset="[A-Za-z0-9][A-Za-z0-9._-]*",
    model="[a-z][a-z0-9_]*",
    key="[0-9a-f]{10}",
    seed="[0-9]+",
    operator="[A-Za-z0-9._-]+@train(_valid)?",
    rank="[0-9]+",
    study="[A-Za-z0-9][A-Za-z0-9._-]*",
