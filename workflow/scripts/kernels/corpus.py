from kernelatlas.kernels.corpus import build_corpus, write_corpus
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    k = int(snakemake.wildcards.k)
    table = build_corpus(snakemake.input, k, snakemake.config["minimum_kernels"])
    write_corpus(table, snakemake.output[0], k)
