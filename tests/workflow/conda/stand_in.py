"""A stand-in for `conda`: what Snakemake asks of it, with the packages of this Python in place of channels.

An environment holds what its YAML names and what that needs, at the versions that it pins, as links to the
packages that are installed here; nothing else can be imported in it. Every Python that starts in it leaves
a line in the file `used`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
BASE = Path(sys.argv[0]).resolve().parents[1]
RECORD = """
import sys
from pathlib import Path
with open(Path(sys.prefix, "used"), "a") as stream:
    print(" ".join(sys.orig_argv[1:]), file=stream)
"""


def main(words: list[str]) -> None:
    """Answer one call."""
    if words == ["--version"]:
        print("conda 26.3.1")
    elif words == ["info", "--json"]:
        print(json.dumps({"conda_prefix": str(BASE), "platform": "linux-64"}))
    elif words == ["config", "--get", "channel_priority", "--json"]:
        print(json.dumps({"get": {"channel_priority": "strict"}}))
    elif words[:1] == ["clean"]:
        pass
    elif words[:2] == ["env", "create"]:
        given = dict(zip(words, words[1:], strict=False))
        create(Path(given["--prefix"]), Path(given["--file"]))
    else:
        sys.exit(f"the stand-in for conda knows no {words}")


def create(prefix: Path, file: Path) -> None:
    """Make the environment of a YAML file."""
    asked = dict(re.fullmatch(r"(\S+)\s*(.*)", entry).groups()
                 for entry in yaml.safe_load(file.read_text(encoding="utf-8"))["dependencies"])  # fmt: skip
    python = asked.pop("python").lstrip("=")
    wanted = {NAMES.get(name, name): condition for name, condition in asked.items()}
    if sys.version_info[:2] != tuple(map(int, python.split("."))):
        print(f"the stand-in has Python {sys.version_info[:2]}, not {python}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    (packages,) = (prefix / "lib").glob("python3*/site-packages")
    for found in needed(wanted):
        link(found, packages)
    (packages / "sitecustomize.py").write_text(RECORD, encoding="utf-8")


def needed(wanted: dict[str, str]) -> list[Distribution]:
    """Return what is wanted, at its version, and all that it needs."""
    for name, condition in wanted.items():
        if condition.startswith("=") and distribution(name).version.partition("+")[0] != condition[1:]:
            sys.exit(f"PackagesNotFoundError: {name} {condition}")
    found: dict[str, Distribution] = {}
    missing = list(wanted)
    while missing:
        name = missing.pop()
        if (key := canonicalize_name(name)) not in found:
            one = found[key] = distribution(name)
            needs = [Requirement(text) for text in one.requires or []]
            missing += [n.name for n in needs if not n.marker or n.marker.evaluate({"extra": ""})]
    return list(found.values())


def link(found: Distribution, packages: Path) -> None:
    """Link the files and folders of a distribution."""
    for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
        (packages / top).symlink_to(Path(str(found.locate_file(top))).resolve())


if __name__ == "__main__":
    main(sys.argv[1:])
