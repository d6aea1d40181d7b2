"""The figures: one module each, drawn from the tables alone.

Each has a function `draw` that returns a matplotlib Figure. The script figures/figure.py calls it
with the inputs of its rule, each read as a table, and with the rule's parameters, all by keyword.
"""
