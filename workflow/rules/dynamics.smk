rule dynamics:
    input:
        dynamics_results,


checkpoint dynamics_sizes:
    input:
        kernels=expand("results/kernels/{model}.parquet", model=DYNAMICS),
        sizes="results/tables/sizes.parquet",
    output:
        multiext("results/tables/dynamics_sizes", parquet=".parquet", csv=".csv"),
    log:
        "results/logs/tables/dynamics_sizes.log",
    benchmark:
        "results/benchmarks/tables/dynamics_sizes.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(300, 0.3),
        runtime=minutes(5),
    params:
        code=fingerprint("dynamics_sizes"),
        models=describe_dynamics(),
    message:
        "Counting the kernels of the states of trainings by size"
    script:
        "../scripts/dynamics_sizes.py"


rule tables_emergence:
    input:
        kernels=expand("results/kernels/{model}.parquet", model=DYNAMICS),
        labels=expand("results/labels/{model}.parquet", model=DYNAMICS),
    output:
        emergence="results/tables/emergence.parquet",
        emergence_csv="results/tables/emergence.csv",
        composition="results/tables/emergence_composition.parquet",
        composition_csv="results/tables/emergence_composition.csv",
        seeds="results/tables/seeds.parquet",
        seeds_csv="results/tables/seeds.csv",
    log:
        "results/logs/tables/emergence.log",
    benchmark:
        "results/benchmarks/tables/emergence.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1000, 7),
        runtime=minutes(2, 0.02),
    params:
        code=fingerprint("tables_emergence"),
        models=describe_dynamics(),
    message:
        "Following the kernels through their trainings"
    script:
        "../scripts/tables_emergence.py"


rule tables_networks:
    input:
        weights=[model.file for model in documented()],
        histories=[str(history_of(model)) for model in documented()],
    output:
        networks="results/tables/networks.parquet",
        networks_csv="results/tables/networks.csv",
        learning="results/tables/learning.parquet",
        learning_csv="results/tables/learning.csv",
    log:
        "results/logs/tables/networks.log",
    benchmark:
        "results/benchmarks/tables/networks.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500, 5),
        runtime=minutes(2),
    params:
        code=fingerprint("tables_networks"),
        networks=[[m.network, m.family, m.trained_on] for m in documented()],
    message:
        "Gathering how the networks were trained and how well they do"
    script:
        "../scripts/tables_networks.py"


rule tables_data:
    input:
        recipes=lambda wildcards: [
            file for recipe in recipes_by_data().values() for file in recipe_of(recipe)
        ],
    output:
        spectra="results/tables/data_spectra.parquet",
        spectra_csv="results/tables/data_spectra.csv",
        samples="results/tables/data_samples.parquet",
        samples_csv="results/tables/data_samples.csv",
    log:
        "results/logs/tables/data.log",
    benchmark:
        "results/benchmarks/tables/data.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1500),
        runtime=minutes(5),
    params:
        code=fingerprint("tables_data"),
        recipes=[list(pair) for pair in recipes_by_data().items()],
    message:
        "Sampling the pictures that the networks were trained on"
    script:
        "../scripts/tables_data.py"


rule figure_emergence:
    input:
        emergence="results/tables/emergence.parquet",
        composition="results/tables/emergence_composition.parquet",
        learning="results/tables/learning.parquet" if documented() else [],
    output:
        pdf="results/figures/emergence.pdf",
        png=report(
            "results/figures/emergence.png",
            caption="../report/emergence.rst",
            category="Trainings",
            labels={"figure": "emergence"},
        ),
    log:
        "results/logs/figures/emergence.log",
    benchmark:
        "results/benchmarks/figures/emergence.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_emergence"),
        seed=FIRST_SEED,
    message:
        "Drawing when shapes emerge"
    script:
        "../scripts/figure_emergence.py"


rule figure_seeds:
    input:
        seeds="results/tables/seeds.parquet",
    output:
        pdf="results/figures/seeds.pdf",
        png=report(
            "results/figures/seeds.png",
            caption="../report/seeds.rst",
            category="Trainings",
            labels={"figure": "seeds"},
        ),
    log:
        "results/logs/figures/seeds.log",
    benchmark:
        "results/benchmarks/figures/seeds.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_seeds"),
        seed=FIRST_SEED,
    message:
        "Drawing how networks of different seeds differ"
    script:
        "../scripts/figure_seeds.py"


rule figure_data:
    input:
        seeds="results/tables/seeds.parquet",
        emergence="results/tables/emergence.parquet",
        spectra="results/tables/data_spectra.parquet" if recipes_by_data() else [],
        samples="results/tables/data_samples.parquet" if recipes_by_data() else [],
    output:
        pdf="results/figures/data.pdf",
        png=report(
            "results/figures/data.png",
            caption="../report/data.rst",
            category="Trainings",
            labels={"figure": "data"},
        ),
    log:
        "results/logs/figures/data.log",
    benchmark:
        "results/benchmarks/figures/data.tsv"
    group:
        "results"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=minutes(2),
    params:
        code=fingerprint("figure_data"),
        seed=FIRST_SEED,
    message:
        "Drawing what the training data change"
    script:
        "../scripts/figure_data.py"
