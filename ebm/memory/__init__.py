"""What outlives a step: buffers that are written only after the step was scored."""

from ebm.memory.bank import Bank
from ebm.memory.center import Center
from ebm.memory.constant import Constant
from ebm.memory.memory import Memory, late_buffer
from ebm.memory.queue import Queue
from ebm.memory.replay import Replay
from ebm.memory.teacher import Teacher, rising

__all__ = [
    "Bank",
    "Center",
    "Constant",
    "Memory",
    "Queue",
    "Replay",
    "Teacher",
    "late_buffer",
    "rising",
]
