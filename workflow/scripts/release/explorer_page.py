from kernelatlas.release.explorer_page import write_page
from kernelatlas.running.job import logged

with logged(snakemake.log[0]):
    first, name = snakemake.output[0], snakemake.params.files[0]
    files = dict(zip(snakemake.params.files, snakemake.input, strict=True))
    write_page(files, first.removesuffix(name))
