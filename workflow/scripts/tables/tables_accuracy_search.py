from kernelatlas.running.files import write_frame
from kernelatlas.running.job import logged
from kernelatlas.tables.replacements import gathered

with logged(snakemake.log[0]):
    write_frame(gathered(snakemake.input, snakemake.params.models), *snakemake.output)
