"""Contrastive methods over configurations: push up at chosen places."""
