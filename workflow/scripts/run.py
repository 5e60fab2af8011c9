"""Run the workflow as `make` does: check the words that were given, build, print what was asked for."""

import argparse
import sys
from pathlib import Path

from recspectra import planning
from recspectra.config.base import ConfigError
from recspectra.running import cli, command, costs


def run() -> None:
    """Build a study and print its summary, or another target; exit with Snakemake's status.

    `--dry` prints a study's runs, what was measured of them, and how many jobs of each stage are to do.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=["study", "datasets", "report", "figures"])
    parser.add_argument("--study", default="", help="a name of config/studies or the path of a YAML file")
    parser.add_argument("--dry", action="store_true", help="only say what a study would run")
    command.add_options(parser)
    args = parser.parse_args()
    words = {"study": args.study} if args.target == "study" else {}
    words |= command.config(args)
    given = {key: value for key, value in words.items() if value}
    plan = planning.load(cli.catalog().root, given, [])
    if plan.mirror and not Path(plan.mirror).is_dir():
        raise ConfigError(f"MIRROR (or RECSPECTRA_MIRROR): there is no folder {plan.mirror}")
    target = "" if args.target == "study" else args.target
    build = command.snakemake(target, args.cores, args.gpus, words)
    if args.dry:
        work = costs.count_work([plan.studies[plan.default]], Path("results"))
        print("\n".join([costs.format_work(work), *absent_files(plan)]), flush=True)
        sys.exit(command.run([*build, "--dry-run", "--quiet", "all"]))
    if status := command.run(build):
        sys.exit(status)
    if args.target == "study":
        print((command.STUDIES / plan.default / "summary.txt").read_text(encoding="utf-8"))
        print(f"Report: {Path('results/report/index.html').resolve()}")
    if args.target == "datasets":
        print(Path("results/logs/datasets.log").read_text(encoding="utf-8"), end="")


def absent_files(plan: planning.Plan) -> list[str]:
    """Return a line for each dataset of the study whose files must be downloaded."""
    present = planning.Present(plan.catalog, plan.mirror)
    names = [n for n in plan.studies[plan.default].config.datasets if not plan.catalog.dataset(n).path]
    absent = {name: present.missing(name) for name in names}
    where = f"results/raw or {plan.mirror}" if plan.mirror else "results/raw, and no MIRROR= is given"
    return [
        f"{name}: not in {where}, so downloaded: {', '.join(files)}"
        for name, files in absent.items() if files
    ]  # fmt: skip


if __name__ == "__main__":
    cli.main(run)
