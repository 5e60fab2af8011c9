# A study: gather its numbers, draw its tables and figures.


# How long one batch takes as users and items grow; random weights, no data set.
rule inference:
    output:
        "results/inference/times.csv",
    log:
        "results/logs/inference.log",
    conda:
        "../envs/recspectra.yaml"
    threads: 1
    resources:
        python=PYTHON,
    params:
        device=PLAN.settings.device,
        code=code_hash(
            "recspectra.papers.sdiff",
            "recspectra.models.sdiff",
            "recspectra.models.diffrec",
            scripts=[SCRIPTS / "inference.py"],
        ),
    message:
        "inference times"
    shell:
        "OMP_NUM_THREADS={threads} {resources.python}/inference.py --device {params.device} --output {output:q}"
        " > {log:q} 2>&1"


# Time and memory of a training step of WPGRec as its sizes grow; no data set.
rule complexity:
    output:
        "results/complexity/costs.csv",
    log:
        "results/logs/complexity.log",
    conda:
        "../envs/recspectra.yaml"
    threads: 1
    resources:
        python=PYTHON,
    params:
        device=PLAN.settings.device,
        code=code_hash(
            "recspectra.papers.wpgrec",
            "recspectra.models.wpgrec",
            scripts=[SCRIPTS / "complexity.py"],
        ),
    message:
        "complexity"
    shell:
        "OMP_NUM_THREADS={threads} {resources.python}/complexity.py --device {params.device} --output {output:q}"
        " > {log:q} 2>&1"


rule collect:
    input:
        parts=lambda w: PLAN.parts(w.study),
        records=lambda w: PLAN.records(w.study),
        stats=lambda w: PLAN.stats(w.study),
        tuning=lambda w: PLAN.tunings(w.study),
        energy=lambda w: PLAN.energies(w.study),
        inference=lambda w: PLAN.inference(w.study),
        complexity=lambda w: PLAN.complexity(w.study),
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
    message:
        "collect {wildcards.study}"
    shell:
        "{resources.python}/collect.py --study {resources.study:q} --choice {params.choice:q} > {log:q} 2>&1"


# One rule per study: what it draws depends on its configuration.
for study in PLAN.studies:

    rule:
        name:
            f"draw_{study}"
        input:
            expand("results/studies/{study}/{name}", study=study, name=planning.COLLECTED),
            PLAN.per_user(study),
            PLAN.published,
            words=[ROOT / "workflow" / "report" / f"{name}.j2" for name in ("claims", "footnotes")],
        output:
            PLAN.drawn(study),
        log:
            f"results/logs/draw/{study}.log",
        conda:
            "../envs/recspectra.yaml"
        resources:
            python=PYTHON,
        params:
            study=study,
            code=code_hash("recspectra.reporting.draw", scripts=[SCRIPTS / "draw.py"]),
        message:
            f"draw {study}"
        shell:
            "{resources.python}/draw.py --folder results/studies/{params.study} > {log:q} 2>&1"
