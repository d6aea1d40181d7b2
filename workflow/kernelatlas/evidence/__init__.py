"""Is it more than chance: fits, nulls, baselines, master keys, distances, stability."""
