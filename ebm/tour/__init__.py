"""The tour: one method of every family on toy and real data, and one page to look at."""

from ebm.tour import gallery
from ebm.tour.guide import run

__all__ = ["gallery", "run"]
