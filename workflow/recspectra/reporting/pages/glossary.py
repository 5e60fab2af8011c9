"""The words of the report that a reader may look up: metrics and terms."""

from recspectra.config.metric_names import declared

# name, formula in words, how to read it
METRICS = tuple((name, about["definition"], about["note"]) for name, about in declared().items())
TERMS = (
    (
        "fit",
        "The data a model learns from: train, or train+valid when it is fitted again after its "
        "hyperparameters were chosen, a trained one for as many epochs as did best on validation.",
    ),
    (
        "history",
        "What a model is shown of a user when it is asked for recommendations at test. With "
        "train+valid it also sees what the user did in the validation period, without learning again.",
    ),
    (
        "mask",
        "What may not be recommended. With mask train, validation items stay in the list and count "
        "as misses.",
    ),
    (
        "tuned",
        "Hyperparameters chosen on the validation data, by recall@20 or what a study names instead, with the "
        "same number of trials for every model. Test data play no part in it.",
    ),
    (
        "95% interval, p",
        "Models are compared user by user. All intervals of a claim hold at once in 95 of 100 cases: over "
        "other users and, where enough models have several seeds, other seeds. p is how often chance would "
        "make the largest of the claim's differences, in standard errors, as large. It is at most .05 if and "
        "only if the interval leaves out 0.",
    ),
    (
        "seed",
        "Start of the random numbers. What another one would give is estimated from all models of a column "
        "that were trained with several, and is part of \u00b1.",
    ),
    (
        "world",
        "One way to score the same lists: a history, a mask, an order of equal scores, a metric, a cut-off "
        "and a group of users. A matrix of worlds has the share of them in which the model of a row is above "
        "that of a column. Where two models are equal neither is above, so their two shares may add up to "
        "less than 100.",
    ),
    (
        "place",
        "Where a model stands among all of a column: the best has place 1. In brackets stand the places that "
        "other users would give it.",
    ),
    (
        "oom, timeout, diverged, skipped",
        "A run that ran out of memory or time, whose numbers became infinite, or that the model refused; "
        "it counts as a result and is shown in its cell.",
    ),
)
