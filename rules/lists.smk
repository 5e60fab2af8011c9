# Lists that another program made become a run. As of a fit, test data are not among the inputs.


ruleorder: import_lists > fit


rule import_lists:
    input:
        lists=lambda w: PLAN.list_file(w.dataset, w.model, w.key, w.seed),
        train="results/data/{dataset}/train.npz",
        valid="results/data/{dataset}/valid.npz",
        ids="results/data/{dataset}/ids.parquet",
    output:
        rankings="results/runs/{dataset}/{model}/{key}/seed-{seed}/rankings.npz",
        record="results/runs/{dataset}/{model}/{key}/seed-{seed}/run.json",
    log:
        "results/logs/import/{dataset}/{model}/{key}-seed-{seed}.log",
    wildcard_constraints:
        model=PLAN.imported,
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
    params:
        run=lambda w: PLAN.run_json(w.model, w.key),
        digest=lambda w: PLAN.list_digest(w.dataset, w.model, w.key, w.seed),
        ordered=lambda w: PLAN.catalog.dataset(w.dataset).ordered,
        code=PLAN.import_code,
    message:
        "import {wildcards.model} for {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "{resources.python}/import_lists.py --data results/data/{wildcards.dataset} --run {params.run:q}"
        " --lists {input.lists:q} --digest {params.digest:q} --seed {wildcards.seed}"
        " --folder $(dirname {output.record:q}) > {log:q} 2>&1"
