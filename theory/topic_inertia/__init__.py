"""Trained attention keeps to the topic of its prompt, the more so the longer the prompt: training ranks tokens by
priority, and only a lower-ranked token that outnumbers a higher one by their learned odds can change the topic, which
becomes exponentially rare.
"""

from idealab.theory.topic_inertia import change, forgetting, training

from idealab.idea import Idea, Named

idea = Idea(
    name="topic_inertia",
    statement=" ".join((__doc__ or "").split("\n\n")[0].split()),
    scope="one attention layer without positions, trained on next tokens",
    failure_modes=("memory that fades, by recurrence or by a bias towards the recent: the chance has a plateau",),
    references=(),
    signatures=Named(*training.signatures, *change.signatures, *forgetting.signatures),
    assumptions=Named(*training.assumptions, *change.assumptions, *forgetting.assumptions),
)
