"""Laws: property-test any energy, loss, sampler or method, ours or yours, in one line.

>>> import ebm.testing
>>> def loss(x, y):
...     return (x - y).square().mean()
>>> ebm.testing.audit(loss, progress=False).ok
True
"""

from ebm.testing import inputs, laws, strategies
from ebm.testing.audit import audit
from ebm.testing.check import check_energy, check_loss, check_method, check_sampler
from ebm.testing.collapse import Collapse, find_collapse
from ebm.testing.command import cli
from ebm.testing.distributed import check_distributed
from ebm.testing.law import Law, Verdict, Violation
from ebm.testing.report import Report
from ebm.testing.subject import Subject, Uncallable
from ebm.testing.survey import Survey, survey

__all__ = [
    "Collapse",
    "Law",
    "Report",
    "Subject",
    "Survey",
    "Uncallable",
    "Verdict",
    "Violation",
    "audit",
    "check_distributed",
    "check_energy",
    "check_loss",
    "check_method",
    "check_sampler",
    "cli",
    "find_collapse",
    "inputs",
    "laws",
    "strategies",
    "survey",
]
