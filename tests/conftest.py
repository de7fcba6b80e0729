"""Shared set-up: every test runs in float64, as the lab does wherever the platform has it."""

import jax

jax.config.update("jax_enable_x64", True)
