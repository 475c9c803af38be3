"""The relevance methods by name, and what each may be used for: the one place that says so."""

from __future__ import annotations

from collections.abc import Mapping

METHODS: tuple[str, ...] = (
    "cls-attention",
    "rollout",
    "gradient-attention",
    "integrated-gradients",
    "occlusion",
    "component-occlusion",
    "random",
)

TASK_BLIND: frozenset[str] = frozenset({"cls-attention", "rollout", "random"})
"""Methods that never see the target: on a shared trunk they give one map for all tasks."""

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "gradient": ("gradient-attention", "integrated-gradients"),
    "perturbation": ("occlusion", "component-occlusion"),
}
"""Class-specific methods by what they look at: the slope of the score, or the score of changed windows.

Methods of one family can share a mistake (a saturated score has no slope; a replaced part can make a beat
that no heart makes), so agreement means more between families than within one.
"""

CLAIM_METHODS: tuple[str, ...] = tuple(method for family in FAMILIES.values() for method in family)
"""Methods whose maps may carry a claim about a task; the others are shown for comparison."""

SIGNED: frozenset[str] = frozenset({"integrated-gradients", "occlusion", "component-occlusion"})
"""Methods whose negative relevance speaks against the target; the others have none."""

CLAIM_PATCH = 5
"""Samples per token of a model whose components may be named: wider tokens straddle PQ and QRS (`resolution`)."""

BY_COMPONENT: frozenset[str] = frozenset({"component-occlusion"})
"""Methods whose map is made of whole components: other boundaries would need other maps."""
