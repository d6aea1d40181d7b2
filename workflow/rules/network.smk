RECIPES = sorted(path.stem for path in (WORKFLOW / "zoos" / "recipes").glob("*.yaml"))


rule zoo:
    input:
        expand("results/networks/{network}.safetensors", network=RECIPES),


rule network:
    input:
        recipe="workflow/zoos/recipes/{network}.yaml",
    output:
        weights="results/networks/{network}.safetensors",
        history="results/networks/{network}_history.parquet",
    log:
        "results/logs/networks/{network}.log",
    benchmark:
        "results/benchmarks/networks/{network}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=fingerprint("network"),
        device=config["device"],
    message:
        "Training the network {wildcards.network}"
    script:
        "../scripts/network.py"
