"""Say what studies cost: their runs and trials, and the seconds of those that were measured."""

import argparse
from pathlib import Path

import yaml

from recspectra import planning
from recspectra.config.base import ConfigError, nearest
from recspectra.running import cli
from recspectra.running import costs as programme


def run() -> None:
    """Print the runs, trials and measured seconds of studies by dataset and model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", help="names of studies; all of config/studies by default")
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", type=read_setting,
                        help="settings, as Snakemake takes them")  # fmt: skip
    parser.add_argument("--results", type=Path, default=Path("results"), help="where measured times are")
    args = parser.parse_args()
    catalog, given = cli.catalog(), dict(args.config)
    names = args.studies or ([] if "study" in given else catalog.names("studies"))
    plan = planning.load(catalog.root, given, ["plan.py", *names])
    for name in args.studies:
        if name not in plan.studies:
            known = f"there are {', '.join(plan.studies)}{nearest(name, plan.studies)}"
            raise ConfigError(f"no study '{name}'; {known}")
    studies = [plan.studies[name] for name in plan.requested]
    print(programme.format_work(programme.count_work(studies, args.results)))


def read_setting(text: str) -> tuple[str, object]:
    """Return the key and the value of `KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    return key, yaml.safe_load(value)


if __name__ == "__main__":
    cli.main(run)
