"""What a theorist writes with: derivations that check themselves, and predictions that compile to JAX."""
