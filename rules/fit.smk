# Choose hyperparameters, then fit and rank. Test data are among no rule's inputs here.


rule tune:
    input:
        train="results/data/{dataset}/train.npz",
        valid="results/data/{dataset}/valid.npz",
        spectra=lambda w: PLAN.tune_spectra(w.dataset, w.model, w.key),
    output:
        trials="results/tuning/{dataset}/{model}/{key}/trials.csv",
        best="results/tuning/{dataset}/{model}/{key}/best.json",
    log:
        "results/logs/tune/{dataset}/{model}/{key}.log",
    conda:
        "../envs/recspectra.yaml"
    threads: 1
    resources:
        python=PYTHON,
        minutes=str(PLAN.settings.budget.minutes),
        memory=str(PLAN.settings.budget.memory_gb),
        runtime=lambda w, attempt: PLAN.tune_minutes(w.model, w.key, attempt),
        mem_mb=lambda w, attempt: PLAN.memory(w.model, attempt),
        gpu=lambda w: gpus(w.dataset, w.model),
        caps=lambda w: PLAN.tune_caps(w.model, w.key).text,
    params:
        caps=lambda w: PLAN.planned_tune_caps(w.dataset, w.model, w.key),
        job=lambda w: PLAN.tune_params(w.dataset, w.model, w.key),
        ordered=lambda w: PLAN.catalog.dataset(w.dataset).ordered,
        device=PLAN.settings.device,
        code=lambda w: tune_code(w.model, SCRIPTS / "tune.py"),
    message:
        "tune {NAMES:tune {wildcards.dataset} {wildcards.model} {wildcards.key}}"
    shell:
        "OMP_NUM_THREADS={threads} {resources.python}/tune.py --data results/data/{wildcards.dataset}"
        " --job {params.job[0]:q} --device {params.device} --minutes {resources.minutes}"
        " --memory-gb {resources.memory} --caps {resources.caps:q} --caps-text {params.caps:q}"
        " --code {params.code} --folder $(dirname {output.best:q})"
        " > {log:q} 2>&1"


rule fit:
    input:
        train="results/data/{dataset}/train.npz",
        valid="results/data/{dataset}/valid.npz",
        spectra=lambda w: PLAN.run_spectra(w.dataset, w.model, w.key),
        tuned=lambda w: PLAN.run_tuning(w.dataset, w.model, w.key),
        train_run=lambda w: PLAN.train_run_of(w.dataset, w.model, w.key, w.seed),
        ids=lambda w: PLAN.kept_ids(w.dataset, w.model, w.key, w.seed),
    output:
        rankings="results/runs/{dataset}/{model}/{key}/seed-{seed}/rankings.npz",
        record="results/runs/{dataset}/{model}/{key}/seed-{seed}/run.json",
    log:
        "results/logs/fit/{dataset}/{model}/{key}-seed-{seed}.log",
    # Only where a profile makes groups; one after another by the resource `serial_slot`.
    group:
        lambda w: PLAN.group(w.model)
    conda:
        "../envs/recspectra.yaml"
    threads: 1
    resources:
        python=PYTHON,
        minutes=str(PLAN.settings.budget.minutes),
        memory=str(PLAN.settings.budget.memory_gb),
        runtime=lambda w, attempt: PLAN.fit_minutes(w.model, attempt),
        mem_mb=lambda w, attempt: PLAN.memory(w.model, attempt),
        gpu=lambda w: gpus(w.dataset, w.model),
        serial_slot=1,
        # The caps in force; that they change reruns nothing.
        caps=lambda w: PLAN.caps(w.model, w.key).text,
    params:
        # Changes only where a fit is to go on because the cap that ended it is higher.
        caps=lambda w: PLAN.planned_caps(w.dataset, w.model, w.key, w.seed),
        # Changes only where the model is to be kept and is not there.
        keep=lambda w: PLAN.planned_keep(w.dataset, w.model, w.key, w.seed),
        run=lambda w: PLAN.run_json(w.model, w.key),
        ordered=lambda w: PLAN.catalog.dataset(w.dataset).ordered,
        device=PLAN.settings.device,
        tuned=lambda w, input: f"--tuned {input.tuned}" if input.tuned else "",
        train_run=lambda w, input: f"--train-run {input.train_run}" if input.train_run else "",
        code=lambda w: fit_code(w.model, SCRIPTS / "fit.py"),
    message:
        "fit {NAMES:fit {wildcards.dataset} {wildcards.model} {wildcards.key}}, seed {wildcards.seed}"
    shell:
        "OMP_NUM_THREADS={threads} {resources.python}/fit.py --data results/data/{wildcards.dataset}"
        " --run {params.run:q} {params.tuned} {params.train_run} --seed {wildcards.seed} --device {params.device}"
        " --minutes {resources.minutes} --memory-gb {resources.memory} --code {params.code}"
        " --caps {resources.caps:q} --caps-text {params.caps:q} --keep={params.keep:q}"
        " --checkpoints results/checkpoints/{wildcards.dataset}/{wildcards.model}/{wildcards.key}-{params.code}-{wildcards.seed}"
        " --folder $(dirname {output.record:q}) > {log:q} 2>&1"
