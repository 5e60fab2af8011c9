# A study: gather its numbers, draw its tables and figures.


# What papers measure in jobs of their own (see recspectra/registry.py): of a dataset, or of random data.
rule measure:
    input:
        lambda w: PLAN.measure_inputs(w.target),
    output:
        "results/measured/{target}.csv",
    log:
        "results/logs/measure/{target}.log",
    conda:
        "../envs/recspectra.yaml"
    threads: 1
    resources:
        python=PYTHON,
    params:
        job=lambda w: PLAN.measure_params(w.target),
        code=lambda w: PLAN.measure_code(w.target, SCRIPTS / "measure.py"),
    message:
        "measure {wildcards.target}"
    shell:
        "OMP_NUM_THREADS={threads} {resources.python}/measure.py --kind {params.job[0]} --options {params.job[1]:q}"
        " --device {params.job[2]} --inputs {input:q} --output {output:q} > {log:q} 2>&1"


rule gather:
    input:
        lambda w: PLAN.gathered(w.study, w.kind),
    output:
        "results/studies/{study}/{kind}.csv",
    log:
        "results/logs/gather/{study}-{kind}.log",
    wildcard_constraints:
        kind="|".join(registry.figures()) or "(?!)",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
        study=lambda w: PLAN.studies[w.study].origin,
    params:
        plan=lambda w: PLAN.gather_params(w.study, w.kind),
        choice=lambda w: PLAN.choice_json(w.study),
        code=lambda w: registry.gathering_code(registry.figure(w.kind), SCRIPTS / "gather.py"),
    message:
        "gather {wildcards.kind} of {wildcards.study}"
    shell:
        "{resources.python}/gather.py --study {resources.study:q} --kind {wildcards.kind}"
        " --choice {params.choice:q} > {log:q} 2>&1"


rule collect:
    input:
        parts=lambda w: PLAN.parts(w.study),
        notes=lambda w: PLAN.notes(w.study),
        records=lambda w: PLAN.records(w.study),
        stats=lambda w: PLAN.stats(w.study),
        tuning=lambda w: PLAN.tunings(w.study),
    output:
        expand("results/studies/{{study}}/{name}", name=planning.COLLECTED),
    log:
        "results/logs/collect/{study}.log",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
        study=lambda w: PLAN.studies[w.study].origin,
    params:
        config=lambda w: PLAN.study_params(w.study),
        choice=lambda w: PLAN.choice_json(w.study),
        code=code_hash("recspectra.reporting.collect", scripts=[SCRIPTS / "collect.py"]),
        columns=registry.collecting_code(),
    message:
        "collect {wildcards.study}"
    shell:
        "{resources.python}/collect.py --study {resources.study:q} --choice {params.choice:q} > {log:q} 2>&1"


# Rules of a study by itself: what it draws depends on its configuration. Tables and figures go side by side.
for study in PLAN.studies:

    rule:
        name:
            f"draw_tables_{study}"
        input:
            expand("results/studies/{study}/{name}", study=study, name=planning.COLLECTED),
            PLAN.numbers(study),
            PLAN.per_user(study),
            PLAN.worlds(study),
            PLAN.published,
            words=[
                ROOT / "workflow" / "report" / f"{name}.j2"
                for name in (
                    "beyond",
                    "claims",
                    "footnotes",
                    "legend",
                    "narrowed",
                    "worlds",
                )
            ],
        output:
            PLAN.drawn_tables(study),
        log:
            f"results/logs/draw/{study}-tables.log",
        conda:
            "../envs/recspectra.yaml"
        resources:
            python=PYTHON,
        params:
            study=study,
            code=code_hash("recspectra.reporting.draw", scripts=[SCRIPTS / "draw.py"]),
            papers=registry.drawing_code(PLAN.studies[study].config),
        message:
            f"draw tables of {study}"
        shell:
            "{resources.python}/draw.py --only tables --folder results/studies/{params.study} > {log:q} 2>&1"


for study in filter(PLAN.drawn_figures, PLAN.studies):

    rule:
        name:
            f"draw_figures_{study}"
        input:
            expand("results/studies/{study}/{name}", study=study, name=planning.COLLECTED),
            PLAN.numbers(study),
            PLAN.per_user(study),
            PLAN.worlds(study),
            PLAN.published,
        output:
            [
                (
                    report(
                        path,
                        caption="../workflow/report/figure.rst",
                        category=planning.plain(PLAN.studies[study].config.title),
                        labels=PLAN.figure_labels(study)[path],
                    )
                    if path in PLAN.figure_labels(study)
                    else path
                )
                for path in PLAN.drawn_figures(study)
            ],
        log:
            f"results/logs/draw/{study}-figures.log",
        conda:
            "../envs/recspectra.yaml"
        resources:
            python=PYTHON,
        params:
            study=study,
            code=code_hash("recspectra.reporting.figures", scripts=[SCRIPTS / "draw.py"]),
            papers=registry.drawing_code(PLAN.studies[study].config),
        message:
            f"draw figures of {study}"
        shell:
            "{resources.python}/draw.py --only figures --folder results/studies/{params.study} > {log:q} 2>&1"
