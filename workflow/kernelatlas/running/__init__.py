"""What every job uses: logs, output files, fingerprints, devices, schemas, Slurm."""
