# Raw files -> interactions -> train, valid, test.


rule fetch:
    output:
        "results/raw/{source}/{path}",
    log:
        "results/logs/fetch/{source}/{path}.log",
    wildcard_constraints:
        source="[A-Za-z0-9][A-Za-z0-9._-]*",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
        mirror=PLAN.mirror,
    params:
        dataset=lambda w: PLAN.dataset_of_file(w.source, w.path),
        sha256=lambda w: PLAN.sha256_of_file(w.source, w.path),
    message:
        "fetch {wildcards.path}"
    shell:
        "{resources.python}/fetch.py --dataset {params.dataset} --path {wildcards.path:q}"
        " --mirror={resources.mirror:q} --output {output:q} 2> {log:q}"


rule prepare:
    input:
        lambda w: PLAN.raw_files(w.dataset),
    output:
        "results/interactions/{dataset}.npz",
    log:
        "results/logs/prepare/{dataset}.log",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
    params:
        reader=lambda w: PLAN.reader_params(w.dataset),
        code=PLAN.prepare_code,
    message:
        "prepare {NAMES:data {wildcards.dataset} }"
    shell:
        "{resources.python}/prepare.py --dataset {wildcards.dataset} --raw results/raw"
        " --output {output:q} > {log:q} 2>&1"


rule split:
    input:
        "results/interactions/{dataset}.npz",
    output:
        train="results/data/{dataset}/train.npz",
        valid="results/data/{dataset}/valid.npz",
        test="results/data/{dataset}/test.npz",
        ids="results/data/{dataset}/ids.parquet",
        stats="results/data/{dataset}/stats.json",
    log:
        "results/logs/split/{dataset}.log",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
    params:
        split=lambda w: PLAN.split_params(w.dataset),
        code=PLAN.split_code,
        made_with=lambda w: json.dumps(PLAN.made_with(w.dataset)),
    message:
        "split {NAMES:data {wildcards.dataset} }"
    shell:
        "{resources.python}/split.py --dataset {wildcards.dataset} --interactions {input:q}"
        " --folder results/data/{wildcards.dataset} --made-with {params.made_with:q} > {log:q} 2>&1"


# Every dataset whose files are there, and the table of their counts.
rule datasets:
    input:
        lambda w: expand("results/data/{name}/stats.json", name=PLAN.available),
    output:
        expand("results/datasets/datasets.{ending}", ending=["csv", "md", "tex"]),
    log:
        "results/logs/datasets.log",
    conda:
        "../envs/recspectra.yaml"
    resources:
        python=PYTHON,
    params:
        names=PLAN.catalog.names("datasets"),
        published=lambda w: [PLAN.published_counts(n) for n in PLAN.catalog.names("datasets")],
        code=code_hash("recspectra.reporting.datasets", scripts=[SCRIPTS / "datasets.py"]),
    message:
        "table of datasets"
    shell:
        "{resources.python}/datasets.py {params.names} > {log:q} 2>&1"
