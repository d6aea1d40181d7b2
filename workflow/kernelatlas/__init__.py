"""Depthwise convolution kernels of trained networks: extraction, codes, clusters, figures."""

__version__ = "0.1.0"
