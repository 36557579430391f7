"""Latent-variable methods: regularized and architectural."""
