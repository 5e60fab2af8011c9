"""RecSpectra: one workflow from raw interactions to tables, figures and a report.

Targets: the name of any study in config/studies (quickstart is the default),
`figures` (redraw from metrics on disk), `report`.
"""


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/spectra.smk"
include: "rules/fit.smk"
include: "rules/lists.smk"
include: "rules/evaluate.smk"
include: "rules/study.smk"
include: "rules/report.smk"


# The default target: the study named in the configuration and its report. It stands here
# because Snakemake forgets a default target that an included file names.
rule all:
    input:
        "results/report/index.html",
        PLAN.drawn(PLAN.default),
        PLAN.kept(PLAN.default),
