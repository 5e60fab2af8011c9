# Metrics of a study on one dataset, and the same lists in every world: the only rules that read test data.


rule evaluate:
    input:
        rankings=lambda w: PLAN.rankings(w.study, w.dataset),
        train="results/data/{dataset}/train.npz",
        test="results/data/{dataset}/test.npz",
        valid="results/data/{dataset}/valid.npz",
        ids="results/data/{dataset}/ids.parquet",
        stats="results/data/{dataset}/stats.json",
    output:
        metrics="results/studies/{study}/parts/{dataset}.csv",
        per_user="results/studies/{study}/per_user/{dataset}.parquet",
        notes="results/studies/{study}/parts/{dataset}.notes.json",
    log:
        "results/logs/evaluate/{study}/{dataset}.log",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
        study=lambda w: PLAN.studies[w.study].origin,
        choice=lambda w: PLAN.choice_json(w.study, w.dataset),
    params:
        plan=lambda w: PLAN.evaluation_params(w.study, w.dataset),
        code=code_hash("recspectra.evaluation.measure", scripts=[SCRIPTS / "evaluate.py"]),
    message:
        "evaluate {wildcards.study} on {NAMES:data {wildcards.dataset} }"
    shell:
        "{resources.python}/evaluate.py --study {resources.study:q} --dataset {wildcards.dataset}"
        " --choice {resources.choice:q}"
        " --output {output.metrics:q} --per-user {output.per_user:q} --notes {output.notes:q} > {log:q} 2>&1"


# Only where a study has a figure of worlds. Nothing is fitted or chosen by what this rule finds.
rule worlds:
    input:
        rankings=lambda w: PLAN.rankings_in_worlds(w.study, w.dataset),
        train="results/data/{dataset}/train.npz",
        test="results/data/{dataset}/test.npz",
        stats="results/data/{dataset}/stats.json",
    output:
        "results/studies/{study}/worlds/{dataset}.parquet",
    log:
        "results/logs/worlds/{study}/{dataset}.log",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
        study=lambda w: PLAN.studies[w.study].origin,
        choice=lambda w: PLAN.choice_json(w.study, w.dataset),
    params:
        plan=lambda w: PLAN.worlds_params(w.study, w.dataset),
        code=code_hash("recspectra.evaluation.worlds", scripts=[SCRIPTS / "worlds.py"]),
    message:
        "worlds of {wildcards.study} on {wildcards.dataset}"
    shell:
        "{resources.python}/worlds.py --study {resources.study:q} --dataset {wildcards.dataset}"
        " --choice {resources.choice:q} --output {output:q} > {log:q} 2>&1"
