"""Stored inputs on which a false invariance fails."""

PAIR = (
    ((0.9, -0.4, 0.2), (-0.3, 0.8, 0.5), (0.1, -0.7, 0.6), (-0.6, 0.2, -0.9)),
    ((0.7, -0.5, 0.4), (-0.1, 0.6, 0.7), (0.4, -0.9, 0.3), (-0.8, 0.1, -0.5)),
)
"""Two views of four examples in general position, each dimension's deviation below 1."""

NARROW = tuple(tuple(tuple(v / 1000 for v in row) for row in view) for view in PAIR)
"""The same a thousand times smaller: variances near the usual epsilons."""
