from kernelatlas.running.contract import write_table
from kernelatlas.running.job import logged
from kernelatlas.tables.dynamics import emergence_table, shape_shares, state_composition

with logged(snakemake.log[0]):
    inputs, output, models = snakemake.input, snakemake.output, snakemake.params.models
    emergence = emergence_table(inputs.labels, inputs.kernels, models)
    write_table(emergence, output.emergence, output.emergence_csv)
    composition = state_composition(inputs.labels, models)
    write_table(composition, output.composition, output.composition_csv)
    write_table(shape_shares(composition), output.seeds, output.seeds_csv)
