"""What every job shares: logs, whole files, fingerprints, devices, schemas, Slurm."""
