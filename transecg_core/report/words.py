"""The fixed words of every report: what the three risks ask, and a short glossary."""

from __future__ import annotations

KINDS: tuple[dict[str, str], ...] = (
    {
        "kind": "A",
        "title": "In the signals anyway",
        "question": "How well can anybody link two ECGs of one person, without our model?",
        "bound": "Not bounded by differential privacy: a property of the data and the time gap.",
    },
    {
        "kind": "B",
        "title": "What the model can do",
        "question": "How good a re-identifier is the encoder we would release?",
        "bound": "Not bounded by differential privacy: it falls only if utility falls.",
    },
    {
        "kind": "C",
        "title": "Given away by training",
        "question": "What does the model tell about who was in training, beyond what it tells about anyone?",
        "bound": "Bounded by differential privacy.",
    },
)

QUICK = "does too little to conclude anything: it shows that everything works"
"""What profile quick is for."""

ATTACKS: dict[str, str] = {
    "raw-correlation": "correlating raw beats",
    "pca": "principal components of raw beats",
    "pca-lda": "PCA+LDA on raw beats",
    "fiducial": "intervals, heights and slopes of the beat's waves",
    "random-init": "the untrained encoder",
    "pretrained-start": "the pretrained weights that training started from",
    "identification": "the released encoder",
    "embedding-consistency": "how steady a person's embeddings are",
    "shared-head-loss": "the loss of the shared heads",
    "linkage-gap": "members against controls in identification",
    "round-gradients": "how much a site's updates point along the person's own gradients",
    "round-losses": "how much a site's updates lower the person's own loss",
    "global-gradients": "how much each round's model moved along the person's own gradients",
    "global-losses": "how the person's own loss falls over the rounds",
    "update-inversion": "beats rebuilt from the updates",
    "shadow-lira": "likelihoods from audit models of the same recipe (LiRA)",
    "client-inversion": "beats rebuilt from one small client's update",
    "shadow-lira-consistency": "steadiness against audit models of the same recipe (LiRA)",
    "shadow-rmia": "likelihood ratios against other people (RMIA)",
}
"""Attacks in plain words, for sentences; tables keep the names of report.json."""


def plain_name(name: str) -> str:
    """Return an attack's name for a sentence."""
    return ATTACKS.get(name, name)


GLOSSARY: tuple[tuple[str, str], ...] = (
    ("participant", "One person. Intervals and sample sizes count people, never windows."),
    ("window", "0.8 s of signal around one R peak; what the encoder sees."),
    ("member / control", "A person whose data trained the model / a person kept out of training by a fair coin."),
    ("gallery / probe", "Recordings with known names / recordings to be named by comparing with the gallery."),
    ("rank-1", "Share of probes whose most similar gallery entry is the right person."),
    ("EER", "Equal error rate of same-person or not decisions: 0 identifies perfectly, 0.5 is guessing. Low is risky."),
    ("TAR@FAR", "Share of genuine pairs accepted at a fixed share of falsely accepted impostor pairs."),
    ("AUC", "Chance that a random member scores above a random control: 0.5 is guessing, 1 is certainty."),
    ("main / control / baseline", "The attack's figure / the same on people never trained on (B) or with an untrained "
     "encoder (C) / a naive guess (A, C) or the untrained encoder (B). A has no trained model, so no control."),
    ("ceiling", "The most an attack can reach if the privacy guarantee holds."),
    ("epsilon, delta", "Differential privacy: how much one unit's data can change what may be observed, save with "
     "probability delta. Smaller is more private."),
    ("sigma", "Noise multiplier: standard deviation of the noise divided by the clip norm."),
    ("q", "Share of units expected in one training step (Poisson sampling)."),
    ("enrichment", "Share of relevance divided by share of duration: above 1, the component matters more than its "
     "length alone explains."),
    ("faithfulness", "Insertion minus deletion: how much better than random order a map ranks what the model uses."),
)  # fmt: skip
