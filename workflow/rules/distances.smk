rule tables_distances:
    input:
        corpus="results/corpora/k{k}.parquet",
        kernels=expand("results/kernels/{model}.parquet", model=MODELS),
    output:
        parquet="results/tables/distances_k{k}.parquet",
        csv="results/tables/distances_k{k}.csv",
    log:
        "results/logs/tables/distances_k{k}.log",
    benchmark:
        "results/benchmarks/tables/distances_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(600, 7),
        runtime=minutes(5, 0.05),
    params:
        code=fingerprint("tables_distances"),
        models=describe(MODELS),
    message:
        "Distances between sets of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/tables_distances.py"


rule tables_layer_statistics:
    input:
        expand("results/kernels/{model}.parquet", model=MODELS),
    output:
        parquet="results/tables/layer_statistics.parquet",
        csv="results/tables/layer_statistics.csv",
    log:
        "results/logs/tables/layer_statistics.log",
    benchmark:
        "results/benchmarks/tables/layer_statistics.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(600, 1),
        runtime=minutes(5, 0.05),
    params:
        code=fingerprint("tables_layer_statistics"),
        models=describe(MODELS),
    message:
        "Variety of the kernels of each layer"
    script:
        "../scripts/tables_layer_statistics.py"


rule figure_distances:
    input:
        "results/tables/distances_k{k}.parquet",
    output:
        pdf="results/figures/distances_k{k}.pdf",
        png=report(
            "results/figures/distances_k{k}.png",
            caption="../report/distances.rst",
            category="Evidence",
            labels={"size": "{k}", "figure": "distances"},
        ),
    log:
        "results/logs/figures/distances_k{k}.log",
    benchmark:
        "results/benchmarks/figures/distances_k{k}.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_distances"),
    message:
        "Drawing the distances between sets of {wildcards.k}x{wildcards.k} kernels"
    script:
        "../scripts/figure_distances.py"


rule tables_accuracy:
    input:
        models="results/tables/models.parquet",
        weights=[model.file for model in of_known_accuracy()],
        imagenet="workflow/zoos/imagenet_top1.csv",
    output:
        accuracy="results/tables/accuracy.parquet",
        accuracy_csv="results/tables/accuracy.csv",
        correlations="results/tables/accuracy_correlations.parquet",
        correlations_csv="results/tables/accuracy_correlations.csv",
    log:
        "results/logs/tables/accuracy.log",
    benchmark:
        "results/benchmarks/tables/accuracy.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(700),
        runtime=minutes(5),
    params:
        code=fingerprint("tables_accuracy"),
        networks=[model.name for model in of_known_accuracy()],
        resamples=config["evidence"]["resamples"],
    message:
        "Correlating the share identified with accuracy"
    script:
        "../scripts/tables_accuracy.py"


rule figure_accuracy:
    input:
        accuracy="results/tables/accuracy.parquet",
        correlations="results/tables/accuracy_correlations.parquet",
    output:
        pdf="results/figures/accuracy.pdf",
        png=report(
            "results/figures/accuracy.png",
            caption="../report/accuracy.rst",
            category="Evidence",
            labels={"figure": "accuracy"},
        ),
    log:
        "results/logs/figures/accuracy.log",
    benchmark:
        "results/benchmarks/figures/accuracy.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_accuracy"),
    message:
        "Drawing the share identified against accuracy"
    script:
        "../scripts/figure_accuracy.py"


rule tables_offsets:
    input:
        fits=expand("results/fits/{model}.parquet", model=TRAINED),
        labels=expand("results/labels/{model}.parquet", model=TRAINED),
        kernels=expand("results/kernels/{model}.parquet", model=TRAINED),
    output:
        offsets="results/tables/offsets.parquet",
        offsets_csv="results/tables/offsets.csv",
        layers="results/tables/offsets_layers.parquet",
        layers_csv="results/tables/offsets_layers.csv",
        histogram="results/tables/offsets_histogram.parquet",
        histogram_csv="results/tables/offsets_histogram.csv",
    log:
        "results/logs/tables/offsets.log",
    benchmark:
        "results/benchmarks/tables/offsets.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(700, 2),
        runtime=minutes(3, 0.02),
    params:
        code=fingerprint("tables_offsets"),
        models=describe(TRAINED),
        r2=config["evidence"]["r2"],
    message:
        "Offsets of the centres of kernels"
    script:
        "../scripts/tables_offsets.py"


rule figure_offsets:
    input:
        offsets="results/tables/offsets.parquet",
        histogram="results/tables/offsets_histogram.parquet",
    output:
        pdf="results/figures/offsets.pdf",
        png=report(
            "results/figures/offsets.png",
            caption="../report/offsets.rst",
            category="Evidence",
            labels={"figure": "offsets"},
        ),
    log:
        "results/logs/figures/offsets.log",
    benchmark:
        "results/benchmarks/figures/offsets.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_offsets"),
        r2=config["evidence"]["r2"],
    message:
        "Drawing the offsets of the centres of kernels"
    script:
        "../scripts/figure_offsets.py"
