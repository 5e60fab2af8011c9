"""The words of the report that a reader may look up: metrics and terms."""

# name, formula in words, why it is here
METRICS = (
    (
        "recall",
        "hits among the first K divided by the number of test items |T|",
        "The usual recall. With more than K test items it cannot reach 1.",
    ),
    (
        "recall_min",
        "hits among the first K divided by the smaller of K and |T|",
        "Truncated recall (Mult-VAE, GiffCF): a full list of hits scores 1. Never below recall, "
        "and above it for every user with more than K test items.",
    ),
    ("hr", "1 if there is any hit among the first K, else 0", "Hit rate. Equals recall with one test item."),
    ("precision", "hits among the first K divided by K", "The share of the list that is right."),
    (
        "ndcg",
        "sum of 1/log2(position + 1) over the hits, divided by that sum for the best possible list, "
        "which has min(K, |T|) hits at the top",
        "The standard definition: rewards hits and their order.",
    ),
    (
        "ndcg_hit",
        "the same sum, divided by that sum for the hits that were found, moved to the top",
        "NGCF's definition, used for GSPRec's row: test items that were missed cost nothing, so one "
        "hit at position 1 scores 1. Two to three times the standard value on dense data.",
    ),
    (
        "ndcg_set",
        "ndcg_hit, but the list is first turned into a Python set, whose order is that of item numbers "
        "modulo the size of a hash table",
        "What the HiGSP and FaGSP evaluator computes: the order of the list is lost.",
    ),
    (
        "mrr",
        "1 divided by the position of the first hit, 0 if it is not among the first K",
        "Mean reciprocal rank. Cannot fall as K grows.",
    ),
    (
        "mrr_set",
        "mrr of the list after it was turned into a Python set",
        "What the HiGSP and FaGSP evaluator computes; it can fall as K grows.",
    ),
)
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
        "Hyperparameters chosen by recall@20 on the validation data, with the same number of trials for "
        "every model. Test data play no part in it.",
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
        "oom, timeout, diverged, skipped",
        "A run that ran out of memory or time, whose numbers became infinite, or that the model refused; "
        "it counts as a result and is shown in its cell.",
    ),
)
