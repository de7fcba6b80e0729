"""Networks trained on synthetic topic prompts."""

from idealab.experiment import Experiment

experiments: tuple[Experiment, ...] = ()
