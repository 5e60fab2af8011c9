"""Say what a programme costs before it is started: jobs, core-hours, GPU-hours, wall time."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from recspectra import cli, planning, programme


def run() -> None:
    """Print the cost of all studies, of some, or of every system on every dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", help="names of studies; all of config/studies by default")
    parser.add_argument("--everything", action="store_true", help="all systems on all datasets instead")
    parser.add_argument("--seeds", type=int, default=5, help="with --everything")
    parser.add_argument("--trials", type=int, default=50, help="with --everything")
    parser.add_argument("--effort", default="paper", choices=["cpu", "paper"])
    parser.add_argument("--mirror", help="folder of the datasets: optional datasets take part if there")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where measured times are")
    parser.add_argument("--dry-run", action="store_true", help="also time Snakemake's dry run of it")
    args = parser.parse_args()
    catalog, began = cli.catalog(), time.perf_counter()
    studies = chosen(args, catalog)
    parsed = time.perf_counter() - began
    timings = programme.Timings(args.results, programme.sizes(catalog))
    jobs = programme.jobs_of(catalog, studies, timings)
    print(f"{', '.join(study.name for study in studies)}: effort {args.effort}")
    print(f"{len(jobs) + programme.small_jobs(studies):,} jobs, read in {parsed:.1f} s\n")
    print(programme.text_of(programme.table(jobs)), "\n")
    print(assumptions())
    for machine in programme.MACHINES:
        wall = programme.duration(programme.wall_seconds(jobs, machine))
        print(f"{machine.title + ':':<18}{wall}")
    if args.dry_run:
        print(f"{'dry run:':<18}{dry_run(studies, args, catalog.root):.1f} s")


def chosen(args: argparse.Namespace, catalog: planning.Catalog) -> list:
    """Return the studies that were asked for."""
    if args.everything:
        return [programme.everything(catalog, args.seeds, args.trials)]
    given = {"effort": args.effort, **({"mirror": args.mirror} if args.mirror else {})}
    plan = planning.load(catalog.root, given, [])
    for name in args.studies:
        if name not in plan.studies:
            raise planning.ConfigError(f"no study '{name}'; there are {', '.join(plan.studies)}")
    return [plan.studies[name] for name in args.studies or plan.studies]


def assumptions() -> str:
    """Return what is assumed where nothing was measured."""
    light, medium, heavy = programme.ASSUMED_SECONDS.values()
    return (
        "measured: from results/; scaled: of that system on its largest dataset, by interactions; assumed:\n"
        f"{light:g}, {medium:g}, {heavy:g} s a fit (light, medium, heavy) and "
        f"{programme.ASSUMED_SPECTRUM:g} s a spectrum at {programme.REFERENCE:,} interactions.\n"
        f"A GPU is taken for {programme.ASSUMED_SPEEDUP:g} cores; a node has {programme.NODE_CORES} cores "
        f"and one GPU; a job costs {programme.START_SECONDS:g} s\nto start, "
        f"{programme.SUBMIT_SECONDS:g} s in Slurm.\n"
    )


def dry_run(studies: list, args: argparse.Namespace, root: Path) -> float:
    """Return the seconds of a dry run of all of it in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", "-s", str(root / "Snakefile"), "--directory", folder]
        names = [study.name for study in studies]
        given = [f"effort={args.effort}", *([f"mirror={Path(args.mirror).resolve()}"] if args.mirror else [])]
        if args.everything:
            file = Path(folder) / "everything.yaml"
            file.write_text(
                yaml.safe_dump(studies[0].config.model_dump(exclude_unset=True)), encoding="utf-8"
            )
            given.append(f"study={file}")
        began = time.perf_counter()
        done = subprocess.run(
            [*command, "--cores", "1", "--dry-run", "--quiet", "all", "--scheduler", "greedy",
             *names, "--config", *given],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise planning.ConfigError(f"the dry run failed:\n{(done.stdout + done.stderr)[-2000:]}")
        return time.perf_counter() - began


if __name__ == "__main__":
    cli.main(run)
