# Eigenpairs of graph operators, computed once and shared by all runs.


rule spectrum:
    input:
        lambda w: PLAN.spectrum_inputs(w.dataset, w.operator),
    output:
        "results/spectra/{dataset}/{operator}-r{rank}.npz",
    log:
        "results/logs/spectrum/{dataset}/{operator}-r{rank}.log",
    conda:
        "../envs/recspectra.yaml"
    threads: 1
    resources:
        python=PYTHON,
        runtime=lambda w, attempt: 60 * attempt,
        mem_mb=lambda w, attempt: 8192 * attempt,
        gpu=lambda w: gpus(w.dataset),
    params:
        device=PLAN.settings.device,
        code=spectrum_code(SCRIPTS / "spectrum.py"),
    message:
        "spectrum {wildcards.operator} on {NAMES:data {wildcards.dataset} }, {wildcards.rank} pairs"
    shell:
        "OMP_NUM_THREADS={threads} {resources.python}/spectrum.py"
        " --data results/data/{wildcards.dataset} --operator {wildcards.operator}"
        " --rank {wildcards.rank} --device {params.device} --code {params.code} --output {output:q} > {log:q} 2>&1"
