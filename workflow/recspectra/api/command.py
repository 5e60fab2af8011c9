"""The command line of `python -m recspectra`."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path

import pandas as pd

from recspectra.api.model import Model, load, words_of
from recspectra.config.base import ConfigError
from recspectra.data.columns import WHOLE, number_problem
from recspectra.data.text import READ_ERRORS
from recspectra.evaluation.list_files import table
from recspectra.files import MODEL_FILE, atomic, open_regular
from recspectra.fitting.saved import read_about

ABOUT = """Recommendations of a saved model.

A study keeps the models whose entry says `keep: true`; `make study STUDY=NAME KEEP=1` keeps all."""
EXAMPLES = """examples:
  python -m recspectra recommend results/runs/synthetic/ease/0123456789/seed-0 --users 17,99 --k 10
  python -m recspectra recommend my-model.rs --user "Smith, J." --user 17
  python -m recspectra recommend synthetic/ease --all --out lists.parquet
  python -m recspectra recommend my-model.rs --history new-users.csv --out lists.csv

A model that a study kept knows the training and validation items of its users, not the test items.
Users that are not in the data are asked about with --history, a CSV file with the columns user, item
and, if its rows are not in the order of time, time. docs/library.md describes the same from Python;
`make help` lists what runs studies."""

IDS = ("user", "item")  # columns of what is written
FORMULA = re.compile(r"[=@+-]")  # how a cell begins that a spreadsheet runs


def run() -> None:
    """Do what the command line says."""
    args = _parser().parse_args()
    if args.out:
        _check_ending(args.out)
    model = load(find(args.run), any_code=args.any_code)
    history = _read_history(args.history) if args.history else None
    users = args.user if args.users is None else [user.strip() for user in args.users.split(",")]
    found = model.recommend(users, args.k, exclude_seen=not args.seen, history=history)
    if not args.out:
        print(found.to_string(index=False))
        return
    write(found, args.out)
    if args.out.suffix != ".parquet" and (risky := _formula_in(found)):
        print(f"note: {args.out}: a spreadsheet may run ids such as {risky!r} as a formula", file=sys.stderr)
    print(f"{args.out}: {len(found):,} rows for {found['user'].nunique():,} users of {_name(model)}")


def _name(model: Model) -> str:
    return f"{model.about['title']} on {model.about['dataset']}"


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m recspectra", description=ABOUT, epilog=EXAMPLES, formatter_class=raw
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    own = commands.add_parser(
        "recommend", help="print or write the best items of users", description=ABOUT, epilog=EXAMPLES,
        formatter_class=raw,
    )  # fmt: skip
    own.add_argument(
        "run", metavar="RUN", help=f"the folder of a run, a {MODEL_FILE}, or DATASET/MODEL below results/runs"
    )
    whom = own.add_mutually_exclusive_group(required=True)
    whom.add_argument("--users", help="ids as in your file, with commas between them")
    whom.add_argument(
        "--user", action="append", metavar="ID", help="one id, commas included; may stand again"
    )
    whom.add_argument("--all", action="store_true", help="all users of the model")
    whom.add_argument("--history", type=Path, help="a CSV file: users, new ones too, and what they have")
    own.add_argument("--k", type=_whole, default=10, help="items a user (default 10)")
    own.add_argument("--seen", action="store_true", help="do not leave out what a user has")
    own.add_argument("--out", type=Path, help="a .csv, .tsv or .parquet file; else they are printed")
    own.add_argument("--any-code", action="store_true", help="accept a model that other code saved")
    return parser


def _whole(text: str) -> int:
    """Return a whole number; Python would read `1_0` as 10."""
    if not WHOLE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number")
    return int(text)


def find(given: str, runs: Path = Path("results/runs")) -> Path:
    """Return a saved model: a file, the folder of a run, or the only one below DATASET/MODEL.

    Raises
    ------
    ConfigError
        There is none, or there are several.
    """
    if Path(given).exists():
        return Path(given)
    inside = [part for part in Path(given).parts if part not in ("..", "/")]
    found = sorted(runs.joinpath(*inside).rglob(MODEL_FILE))
    if len(found) == 1:
        return found[0]
    if found:
        places = "\n  ".join(f"{path.parent}: {_named(path)}" for path in found)
        raise ConfigError(f"RUN: '{given}' has {len(found)} saved models, name one of\n  {places}")
    kept = sorted({"/".join(p.relative_to(runs).parts[:2]) for p in runs.rglob(MODEL_FILE)})
    raise ConfigError(
        f"RUN: '{given}' is no file, and no run below {runs} of that name kept its model; "
        f"kept are: {', '.join(kept) or 'none (make study STUDY=... KEEP=1 keeps them)'}"
    )


def _named(path: Path) -> str:
    """Return a saved model in words."""
    about = read_about(path)
    return f"{words_of(about)}, seed {about['seed']}"


def _check_ending(path: Path) -> None:
    if path.suffix not in (".csv", ".tsv", ".parquet"):
        raise ConfigError(f"--out: {path} must end in .csv, .tsv or .parquet")


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame as its file's ending says, atomically; ids stay as they are, for programs to read.

    Raises
    ------
    ConfigError
        A tab stands in an id of a `.tsv`, which has no quoting.
    """
    if path.suffix == ".tsv" and any(frame[role].astype(str).str.contains("\t").any() for role in IDS):
        raise ConfigError(f"--out: {path}: an id holds a tab, which separates in .tsv; take .csv or .parquet")
    with atomic(path) as temporary:
        if path.suffix == ".parquet":
            frame.to_parquet(temporary, index=False)
        elif path.suffix == ".tsv":  # NUL, which no id holds, is no quote that would have to be escaped
            how = {"sep": "\t", "quoting": csv.QUOTE_NONE, "quotechar": "\0"}
            frame.to_csv(temporary, index=False, lineterminator="\n", **how)
        else:
            frame.to_csv(temporary, index=False, lineterminator="\n")


def _formula_in(frame: pd.DataFrame) -> str:
    """Return an id that a spreadsheet would take for a formula, or an empty text."""
    texts = (str(value) for role in IDS for value in frame[role].unique())
    return next((text for text in texts if FORMULA.match(text) and number_problem(text)), "")


def _read_history(path: Path) -> pd.DataFrame:
    """Return a text file with all cells as texts."""
    try:
        open_regular(path).close()  # a pipe would be waited for
        head, rows, _ = table(path)
    except OSError as error:
        raise ConfigError(f"--history: {path}: {error.strerror or error}") from None
    except READ_ERRORS as error:
        raise ConfigError(f"--history: {path}: {error}") from None
    if not rows:
        raise ConfigError(f"--history: {path}: holds no rows below its header")
    return pd.DataFrame(rows, columns=[name.strip() for name in head], dtype=str)
