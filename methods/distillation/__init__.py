"""Joint-embedding methods that learn from a slower copy of themselves: no negatives."""
