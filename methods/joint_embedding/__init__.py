"""Joint-embedding methods: contrastive over embeddings."""
