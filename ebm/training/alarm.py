"""The warning by which a run says in words that something goes wrong."""


class Alarm(Warning):
    """A run goes on, but not as it should: it collapses, diverges, or lacks its compiler."""
