"""Releases of the results, and the classification of other networks with a release."""
