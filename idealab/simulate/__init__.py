"""What an experimenter writes with: data whose answer is known, fast descent, and descent to any horizon.

Everything is a pure function that jits and vmaps; nothing here knows any idea. Networks are in
`idealab.simulate.network`, apart, since loading flax takes a second. Precision follows the caller's arrays:
switch on JAX's float64 before use, as the laws tested here show at 1e-6 and below.
"""

from idealab.simulate.checkpoint import checkpointed
from idealab.simulate.data import breast_cancer, digits, planted, random_separable, subsample
from idealab.simulate.descent import (
    EXPONENTIAL,
    LOGISTIC,
    SQUARED,
    MarginLoss,
    descend,
    descend_with,
    log_spaced,
    margin_gradient,
    polynomial,
)
from idealab.simulate.flow import log_time_flow
from idealab.simulate.hard_margin import HardMargin, hard_margin, slowest_rate, spectrum
from idealab.simulate.horizon import Trajectory, descent_push, follow
from idealab.simulate.keeping import kept
from idealab.simulate.priority_graph import PriorityGraph, graph_svm, odds_inside, pair_features
from idealab.simulate.slope import decay_slope

__all__ = [
    "EXPONENTIAL",
    "LOGISTIC",
    "SQUARED",
    "HardMargin",
    "MarginLoss",
    "PriorityGraph",
    "Trajectory",
    "breast_cancer",
    "checkpointed",
    "decay_slope",
    "descend",
    "descend_with",
    "descent_push",
    "digits",
    "follow",
    "graph_svm",
    "hard_margin",
    "kept",
    "log_spaced",
    "log_time_flow",
    "margin_gradient",
    "odds_inside",
    "pair_features",
    "planted",
    "polynomial",
    "random_separable",
    "slowest_rate",
    "spectrum",
    "subsample",
]
