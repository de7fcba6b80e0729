"""A small model trained on real text."""

from idealab.experiment import Experiment

experiments: tuple[Experiment, ...] = ()
