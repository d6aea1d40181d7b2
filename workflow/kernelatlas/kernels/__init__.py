"""Tables of kernels, and what normalised means."""
