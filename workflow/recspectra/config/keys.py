"""The page `docs/studies.md`: every key of a study and a scale, every kind of table, figure and claim.

Types and defaults are those of the schema, examples those of the studies that are shipped; only what a
key means is written here. A test compares the page with what this module makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from recspectra import registry
from recspectra.config.base import ConfigError
from recspectra.config.lists import ListsEntry
from recspectra.config.scale import ScaleConfig
from recspectra.config.study import (
    CLAIM_KEYS,
    ClaimConfig,
    FigureConfig,
    ModelEntry,
    PairConfig,
    ProtocolConfig,
    StudyConfig,
    TableConfig,
    TuningConfig,
)
from recspectra.config.yaml_io import read_yaml

SOURCES = ("config/studies", "tests/workflow/every_kind.yaml")

MEANINGS: dict[type[BaseModel], dict[str, str]] = {
    StudyConfig: {
        "name": "Also the name of the folder in `results/studies/`.",
        "title": "Stands over the report.",
        "description": "What the study asks, in a few sentences.",
        "datasets": "Names of `config/datasets/`.",
        "optional_datasets": "Take part only where their files are.",
        "seeds": "Seeds of every model, or a mapping: dataset to seeds, with `default` for all others.",
        "tuning": "The search that models with `tune: true` get.",
        "protocols": "Names of `config/protocols/`: what is measured.",
        "views": "History and mask in place of the protocols' own: `[{history: train, mask: train}]`.",
        "top": "Length of the lists that are kept.",
        "models": "What is run, one entry a line.",
        "tables": "Tables of the report.",
        "figures": "Figures of the report.",
        "claims": "What papers say, to be judged.",
    },
    TuningConfig: {
        "trials": "Trials of each model on each dataset; a scale may allow fewer.",
        "seed": "Seed of the search.",
        "users": "Measure each trial on so many users of validation, drawn once. All by default.",
    },
    ModelEntry: {
        "model": "A name of `config/models/`, or a list: the entry is then that of each of them.",
        "variant": "A label that tells entries of one model apart.",
        "params": "Values of parameters; all others have their defaults.",
        "use_best": "Take the known good values for the dataset (`best` in the model's YAML).",
        "tune": "Search on validation whatever `params` does not fix.",
        "validate_by": "The metric on validation by which its fits stop and its search chooses: `recall@20` "
        "or `ndcg@10`.",
        "after": "Values set on top of those that were chosen: an ablation of the tuned model.",
        "fit": "What it is fitted on: `train`, `train+valid`, or both, each with a row of its own.",
        "sweep": "Lists of values; one run for each combination.",
        "group": "Tables, figures and claims pick entries by their group.",
        "seeds": "In place of the study's.",
        "datasets": "In place of the study's.",
        "keep": "Save the fitted models with their runs: `python -m recspectra recommend` asks them.",
    },
    ListsEntry: {
        "lists": "A file (CSV, TSV, Parquet, TREC run), or one for each dataset: `{ml-1m: a.csv}`. It is "
        "looked for in the study's folder, then in the working folder. `{dataset}` and `{seed}` in it are "
        "filled in.",
        "title": "What tables call it.",
        "name": "What claims and `models=` call it; by default the title in small letters: `recbole_sasrec`.",
        "seconds": "How long its fit took, for tables and figures of times.",
        "history": "What the model was shown for the lists: `train`, `train+valid`, or a list of both.",
        "columns": "Where the file has other names: `{user: uid, item: sku, score: s, rank: r}`.",
        "variant": "A label that tells entries of one name apart.",
        "fit": "What the model was fitted on.",
        "group": "Tables, figures and claims pick entries by their group.",
        "seeds": "The seeds that there are files of; by default the study's, without `{seed}` its first.",
        "datasets": "In place of the study's; by default those of `lists`, if it names some.",
    },
    TableConfig: {
        "name": "Name of the files `table-NAME.*`.",
        "title": "Stands over the table.",
        "kind": "See below.",
        "protocol": "The protocol whose numbers are shown.",
        "metrics": "Columns, with `k`.",
        "k": "Cut-offs of the lists.",
        "reference": "A model: what is above or below it is marked; a `runtime` table has multiples of it "
        "(by default of `gfcf`), where it has a run.",
        "figure": "Of some kinds that a paper adds: the figure whose numbers it prints.",
        "datasets": "In place of the study's.",
        "groups": "Which entries are rows.",
        "views": "In place of the protocol's.",
        "users": "Groups of users, of those that the protocol measures: `[all, activity-1, activity-4]`.",
        "fit": "Only rows fitted on this.",
        "published": "A table of `config/published/`, printed next to ours.",
        "printed": "Which published dataset stands next to ours if files differ: `{ml-1m.ordered: ml-1m}`.",
        "epochs": "Of a `runtime`: models that take more epochs than were timed: `{lightgcn: 1000}`.",
        "open_rows": "Add published models that the study lacks.",
        "caption": "Stands under the table.",
    },
    FigureConfig: {
        "name": "Name of the files `fig-NAME.*`.",
        "title": "Stands over the figure.",
        "kind": "See below.",
        "group": "Which entries are drawn.",
        "param": "The parameter on the horizontal axis.",
        "other_param": "Of a `heatmap`: the parameter on the vertical axis.",
        "reference": "What differences are from: the variant of an `ablation` (by default the first), the "
        "value of `param` of a `sensitivity` (by default that of a run without sweep, else the first).",
        "view": "History and mask; by default train+valid for both, where the protocol has it.",
        "protocol": "The protocol whose numbers are drawn.",
        "metric": "What is drawn.",
        "k": "Cut-off of the lists.",
        "model": "Whose figure it is, for kinds about one model.",
        "options": "What a kind that a paper adds is measured with.",
        "datasets": "In place of the study's.",
        "caption": "Stands under the figure.",
    },
    ClaimConfig: {
        "name": "Its name in `claims.csv`.",
        "title": "A question.",
        "kind": "See below.",
        "statement": "What the paper says, as a sentence.",
        "paper": "By default that of `published`.",
        "papers": "Of a `listed` claim: whose statements; by default those of all papers.",
        "place": "Table, figure or section; by default that of `published`.",
        "model": "The model that the claim is about.",
        "variant": "Its variant.",
        "rivals": "Models that it is set against; by default those with a row in `published`.",
        "groups": "Which entries take part.",
        "fit": "What they were fitted on.",
        "view": "History and mask.",
        "views": "Of an `order`: the views that are compared.",
        "protocol": "The protocol whose numbers are compared.",
        "metric": "What is compared.",
        "k": "Cut-off of the lists.",
        "rival_protocol": "Of a `gain`: the protocol that the rivals' rows were printed with.",
        "rival_metric": "Of a `gain`: the metric that the rivals' rows were printed with.",
        "pairs": "Of an `ablation`: which variant is above which.",
        "settings": "Of an `optimum` or a `flat`: values of parameters, a list of them or a range: "
        "`{rank: 200, sigma_max: [0.4, 0.5], alpha_min: {min: 0, max: 0.1}}`.",
        "within": "Of a `value` or a printed value that is `listed`: how far ours may be, as a share of it; "
        "of a `flat`: how far below the best setting the others may be, as a share of it.",
        "margin": "In place of `within`, as a difference: `0.0003`.",
        "datasets": "In place of the study's.",
        "published": "The published table that the claim refers to.",
        "printed": "As of a table.",
        "caption": "Stands under the verdicts.",
    },
    PairConfig: {
        "better": "The variant that is claimed to be above.",
        "worse": "The variant that is claimed to be below.",
        "claim": "What that would show.",
    },
    ProtocolConfig: {
        "name": "Its name.",
        "title": "Stands over its numbers.",
        "why": "What it is for.",
        "target": "What is to be found: `test` or `valid` items.",
        "views": "Histories and masks.",
        "metrics": "What is measured.",
        "k": "Cut-offs of the lists.",
        "ties": "Order of equal scores: `larger-id` or `smaller-id` first, or `half`: they share a place.",
        "users": "Over which test users the mean is taken: `all`, `warm` or `cold`.",
        "groups": "More groups of users: `warm`, `cold`, `activity` (quarters by training interactions).",
    },
    ScaleConfig: {
        "trials": "Most tuning trials of a search.",
        "seeds": "How many of a study's seeds run, from the first on.",
        "epochs": "Most epochs of a fit or trial by the model's `cost`: `{light: 200, heavy: 40}`.",
        "minutes": "Most minutes that a fit or trial learns.",
    },
}
KINDS: dict[str, dict[str, str]] = {
    "tables": {
        "metrics": "Numbers of every model, with the published ones next to them.",
        "runtime": "Seconds and memory.",
        "activity": "Numbers of users in quarters by how many training interactions each has.",
        "datasets": "What the datasets hold, with the counts of the paper of `published` next to it.",
    },
    "figures": {
        "sensitivity": "A metric against a swept parameter, as difference from one of its values.",
        "heatmap": "A metric against two swept parameters.",
        "timing": "Seconds to fit and to rank.",
        "ablation": "What each variant of a model loses or gains against one of them, with paired intervals.",
        "forest": "A leaderboard with intervals over users, ranks, and what is tied with the best.",
        "worlds": "In which share of all ways to measure a model is above another.",
        "published": "Our numbers against the printed ones, by whether their definition is the same.",
        "learning-curves": "Loss and validation metric against epochs.",
        "tuning": "The best validation metric so far against trials.",
        "trade-off": "A metric against the seconds that a model needs, and what nothing faster beats.",
    },
    "claims": {
        "gain": "The model is above the best of its rivals, whichever that is.",
        "ablation": "Of each pair of variants the better is above the worse.",
        "order": "The models stand in the same order everywhere, or in the printed one.",
        "value": "The printed number comes out.",
        "optimum": "Of a sweep's settings, the best that the claim names is above the best of the others.",
        "flat": "Every setting that the claim names (or every one) is about as good as the best of all.",
        "listed": "Each statement of `config/published/claims.csv` about these datasets and this protocol.",
    },
}
SECTIONS = (
    ("Keys of a study", StudyConfig, ""),
    ("`tuning`", TuningConfig, ""),
    ("`models`", ModelEntry, ""),
    ("Lists from elsewhere among `models`", ListsEntry, ""),
    ("`tables`", TableConfig, "tables"),
    ("`figures`", FigureConfig, "figures"),
    ("`claims`", ClaimConfig, "claims"),
    ("`pairs` of a claim", PairConfig, ""),
    ("Keys of a scale", ScaleConfig, ""),
    ("Keys of a protocol", ProtocolConfig, ""),
)
HEAD = """# Studies, scales, protocols: all keys

`make docs` makes this page from the schema; a test compares the two.

A **study** (`config/studies/`, or a YAML file anywhere) says what is run and drawn. A **scale**
(`config/scales/`, or a file) caps what is spent. A **protocol** (`config/protocols/`) says what is
measured. A wrong key, type or value is an error that names the file, the place and the nearest match.
`config/studies/quickstart.yaml` is a complete example.
"""
MODELS_EXAMPLE = """models:
  - {model: [popularity, ease], tune: true}               # in group main, as nothing else is said
  - {model: gfcf, group: ranks, sweep: {rank: [8, 16]}}   # two runs; all other parameters have their defaults
tables:
  - {name: main, title: All models, metrics: [ndcg], k: [10], groups: [main]}
figures:
  - {name: ranks, title: Rank of GF-CF, kind: sensitivity, group: ranks, param: rank, metric: ndcg, k: 10}
claims:
  - {name: rank, title: Is rank 16 the best?, statement: Rank 16 is the best, kind: optimum, model: gfcf,
     groups: [ranks], settings: {rank: 16}, metric: ndcg, k: 10}
"""
MODELS_WORDS = f"""A sweep, its figure and its claim find each other by the group. Tables and claims take
several groups (`groups`), a figure takes one (`group`).

```yaml
{MODELS_EXAMPLE}```

Errors count entries from 0: `models[3]` is the fourth.
"""


def page(root: Path) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    root : Path
        The project's folder, whose studies the examples come from.
    """
    parts = [HEAD]
    for title, schema, kinds in SECTIONS:
        parts += [f"## {title}\n", _table(schema), *([MODELS_WORDS] if schema is ModelEntry else [])]
        if kinds:
            parts += list(_kinds(kinds, _examples(root, kinds)))
    return "\n".join(parts)


def known_kinds(part: str) -> list[str]:
    """Return the kinds of `tables`, `figures` or `claims` that there are."""
    if part == "claims":
        return list(get_args(ClaimConfig.model_fields["kind"].annotation))
    if part == "tables":
        return [*registry.GENERIC_TABLES, *registry.tables()]
    return [*registry.GENERIC_FIGURES, *registry.figures()]


def _table(schema: type[BaseModel]) -> str:
    lines = ["| key | default | |", "|---|---|---|"]
    for name, field in schema.model_fields.items():
        meaning = MEANINGS[schema][name].replace("|", r"\|")
        lines.append(f"| `{name}` | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ("", [], {}) or isinstance(value, BaseModel):
        return ""
    return f"`{yaml.safe_dump(value, default_flow_style=True).replace('...', '').strip()}`"


def _kinds(part: str, examples: dict[str, dict[str, Any]]) -> Iterator[str]:
    for kind in known_kinds(part):
        yield f"### {part[:-1].capitalize()} of kind `{kind}`\n\n{_about(part, kind)}{_taken(part, kind)}\n"
        text = yaml.safe_dump([examples[kind]], sort_keys=False, default_flow_style=None, width=100)
        yield f"```yaml\n{part}:\n{re.sub('^', '  ', text.rstrip(), flags=re.MULTILINE)}\n```\n"


def _about(part: str, kind: str) -> str:
    """Return what a kind shows; papers say it of theirs."""
    added = {"tables": registry.tables, "figures": registry.figures}.get(part, dict)()
    return added[kind].about if kind in added else KINDS[part][kind]


def _taken(part: str, kind: str) -> str:
    """Return which keys a kind takes; others are errors."""
    if part == "claims":
        taken, needed = CLAIM_KEYS[kind]
    else:
        taken = (registry.figure_keys if part == "figures" else registry.table_keys)(kind)
        needed = registry.table_needs(kind) if part == "tables" else ()
    both = [(word, ", ".join(f"`{name}`" for name in names)) for word, names in
            (("Takes", taken), ("Needs", needed))]  # fmt: skip
    return "".join(f" {word} {names}." for word, names in both if names)


def _examples(root: Path, part: str) -> dict[str, dict[str, Any]]:
    """Return the shortest example of each kind among the studies that are shipped."""
    files = [path for name in SOURCES for path in sorted((root / name).glob("*.yaml")) or [root / name]]
    found: dict[str, dict[str, Any]] = {}
    for item in (item for path in files for item in read_yaml(path).get(part, [])):
        kind = item.get("kind", "metrics")
        if kind not in found or len(str(item)) < len(str(found[kind])):
            found[kind] = item
    missing = set(known_kinds(part)) - set(found)
    if missing:
        raise ConfigError(f"no study that is shipped has {part} of kind {', '.join(sorted(missing))}")
    return found
