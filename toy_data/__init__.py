"""Toy data: 2-D sets with exact densities, pairs, and small images."""
