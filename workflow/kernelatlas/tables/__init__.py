"""The tables behind the figures."""
