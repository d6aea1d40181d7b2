"""Kernels to codes, clusters and names."""
