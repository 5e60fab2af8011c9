# The HTML report, and the targets that people type.


localrules:
    report,
    figures,


rule report:
    input:
        [PLAN.drawn(study) for study in PLAN.requested],
        templates=sorted(
            path for path in (ROOT / "workflow" / "report").rglob("*") if path.is_file()
        ),
    output:
        "results/report/index.html",
    log:
        "results/logs/report.log",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
    params:
        folders=[f"results/studies/{name}" for name in PLAN.requested],
        also=PLAN.finished_others,
        code=code_hash("recspectra.reporting.site", scripts=[SCRIPTS / "report.py"]),
        papers=[registry.drawing_code(PLAN.studies[study].config) for study in PLAN.requested],
    message:
        "report"
    shell:
        "{resources.python}/report.py --output {output:q} {params.folders:q} --also {params.also:q}"
        " > {log:q} 2>&1"


# Redraw every table and figure from the metrics on disk; nothing is fitted.
rule figures:
    log:
        "results/logs/figures.log",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
    params:
        folders=PLAN.on_disk,
    message:
        "redraw {params.folders}"
    shell:
        "{resources.python}/draw.py --folder {params.folders:q} > {log:q} 2>&1"


for study in PLAN.studies:

    rule:
        name:
            study
        input:
            PLAN.drawn(study),
            PLAN.kept(study),
            "results/report/index.html",
