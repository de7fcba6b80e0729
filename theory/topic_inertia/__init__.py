"""Trained attention keeps to the topic of its prompt, the more so the longer the prompt: training ranks tokens by
priority, and only a token of lower rank that outnumbers a higher one by their learned odds can change the topic, which
becomes exponentially rare.

The model is one layer of attention without positions, f_W(X) = X^T softmax(X W x_last), of which W is trained on the
next token. `training` says what descent makes of W, `change` when such a model changes the topic of a prompt, and
`forgetting` what becomes of it when memory fades, `leaky` in prompts of any length.
"""

from idealab.theory.topic_inertia import change, forgetting, keys, leaky, training

from idealab.idea import Idea, Named, Reference

idea = Idea(
    name="topic_inertia",
    statement=" ".join((__doc__ or "").split("\n\n")[0].split()),
    scope="one layer of attention without positions, W trained by plain descent; prompts of independent "
    "tokens, with r p_a > p_b, so long that the first terms of log C decide (`length` of deviations)",
    failure_modes=(
        "tokens that nothing compares have no order of their own: a second topic may turn it round (flip)",
        "b more frequent than r times a: the longer the prompt, the likelier the change (reversal); as frequent as r "
        "times a: half of all prompts change, however long (boundary)",
        "short prompts, T below the length L (`length` of deviations), or below a few L where odds are less than one "
        "and b is rare: the chance may rise with T, since a label, or a b where it is rare, must first have occurred; "
        "more tokens that say nothing leave none to vote",
        "the published synthetic protocol (benchmarks/published_protocol.py): its hump is there, its fall to zero at "
        "256 tokens comes from attention being rounded to three decimals; without that, tokens of one component that "
        "are drawn equally often, with odds near one as |W| = 1 keeps them, stay near the phase boundary",
        "more ambiguous topics: the chance rises where that means near frequencies, diluted prompts or even odds, and "
        "falls only where tokens that both topics have are no change; the paper's third version claims a fall, its "
        "fourth that there is no rise",
        "last tokens that are not linearly independent: keys then share columns of W, and their odds",
        "several keys and W = K Q^T: keys share their ranks; what they differ by goes like (ln t)^(1/sqrt(3) - 1)",
        "odds that are small fractions: another prefactor",
        *forgetting.failure_modes,
    ),
    references=(
        Reference(
            "jia2025",
            "Jia and Diaz-Rodriguez",
            2025,
            "Dynamics of spontaneous topic changes in next token prediction with self-attention",
            "arXiv 2501.06382, versions 3 and 4",
        ),
        Reference(
            "li2024", "Li et al.", 2024, "Mechanics of next token prediction with self-attention", "the graph-SVM"
        ),
        training.SHEEN,
        change.BAHADUR,
        *forgetting.references,
    ),
    signatures=Named(
        *training.signatures, *change.signatures, *keys.signatures, *forgetting.signatures, *leaky.signatures
    ),
    assumptions=Named(*training.assumptions, *change.assumptions, *forgetting.assumptions),
)
