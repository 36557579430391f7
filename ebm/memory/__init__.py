"""What outlives a step: buffers that are written only after the step was scored."""

from ebm.memory.memory import Memory, late_buffer
from ebm.memory.replay import Replay

__all__ = ["Memory", "Replay", "late_buffer"]
