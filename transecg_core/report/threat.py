"""The threat model, printed in every report: who sees what, and what protects or does not."""

from __future__ import annotations

THREAT_MODEL: tuple[dict[str, str], ...] = (
    {
        "observer": "receiver of the released encoder",
        "holds": "final weights",
        "risks": "B; C membership",
        "protection": "Differential privacy bounds C. B falls only by not releasing the encoder, or by training "
        "it for utility tasks alone.",
    },
    {
        "observer": "honest-but-curious server",
        "holds": "every site's update",
        "risks": "C inversion and membership",
        "protection": "Differential privacy applied at the site. Secure aggregation would hide single updates; "
        "it is not part of this version.",
    },
    {
        "observer": "other site",
        "holds": "every round's global model",
        "risks": "C membership",
        "protection": "Differential privacy.",
    },
    {
        "observer": "network",
        "holds": "ciphertext",
        "risks": "none beyond traffic size and timing",
        "protection": "TLS and node authentication, where the deployment switches them on; a simulation has "
        "no network.",
    },
    {
        "observer": "malicious server",
        "holds": "ships the client's code in the app bundle; config and weights",
        "risks": "anything that code may do",
        "protection": "Not defended here: an institution has to approve the bundle by its hash before it is "
        "imported. The site's own policy and ledger are trustworthy only with that.",
    },
    {
        "observer": "malicious site",
        "holds": "sends updates",
        "risks": "non-finite or scaled weights, forged identity",
        "protection": "Non-finite updates are refused by name. Poisoning is not defended here.",
    },
)


def threat_model() -> list[dict[str, str]]:
    """Return the report's ``threat_model``: one row per observer."""
    return [dict(row) for row in THREAT_MODEL]
