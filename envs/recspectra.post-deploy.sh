#!/usr/bin/env bash
# Snakemake runs this inside the new environment, from the folder it was started in.
# An editable install, so that an edit of the package is what the next job runs.
set -euo pipefail
root=${RECSPECTRA_ROOT:-$PWD}
if ! grep -qs '^name = "recspectra"' "$root/pyproject.toml"; then
  echo "recspectra: start Snakemake in the project's folder, or set RECSPECTRA_ROOT to it (now: $root)" >&2
  exit 1
fi
python -m pip install --no-deps --no-build-isolation --disable-pip-version-check -e "$root"
