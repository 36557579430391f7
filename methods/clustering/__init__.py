"""Joint-embedding methods that compare assignments to clusters."""
