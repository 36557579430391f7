"""Stored inputs on which a false invariance fails."""

PAIR = (
    ((0.9, -0.4, 0.2), (-0.3, 0.8, 0.5), (0.1, -0.7, 0.6), (-0.6, 0.2, -0.9)),
    ((0.7, -0.5, 0.4), (-0.1, 0.6, 0.7), (0.4, -0.9, 0.3), (-0.8, 0.1, -0.5)),
)
"""Two views of four examples in general position, each dimension's deviation below 1."""

TRIPLE = (
    *PAIR,
    ((-0.2, 0.5, 0.9), (0.4, -0.6, 0.1), (-0.7, 0.3, -0.2), (0.5, 0.8, -0.4)),
)
"""Three views of four examples in general position."""

PLANE = (
    ((0.9, -0.4), (-0.3, 0.8), (0.1, -0.7), (-0.6, 0.2), (0.5, 0.6)),
    ((0.7, -0.5), (-0.1, 0.6), (0.4, -0.9), (-0.8, 0.1), (0.2, 0.9)),
)
"""Two views of five examples in two dimensions: their covariances are regular."""

AGREED = (((1.0, -1.0),) * 4,) * 2
"""Two views of four examples whose scores all prefer the same prototype: none leaves it alone."""
