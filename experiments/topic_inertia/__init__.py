"""Attention trained on prompts of one or two topics: in the idealized model, in networks and on text."""

from idealab.experiments.topic_inertia import change, edges, keys, memory, networks, text, training

experiments = (
    *training.experiments,
    *edges.experiments,
    *change.experiments,
    *keys.experiments,
    *memory.experiments,
    *networks.experiments,
    *text.experiments,
)
