"""Joint-embedding methods that reduce redundancy instead of using negatives."""
