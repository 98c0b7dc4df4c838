"""Comparisons of optimizers: grids of settings, cells that are computed once, tables, tests."""
