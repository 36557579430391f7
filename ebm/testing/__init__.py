"""Laws: property-test any energy, loss, sampler or method, ours or yours, in one line."""
