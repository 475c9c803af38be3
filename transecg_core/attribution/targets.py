"""What a relevance map explains: a scalar of the embedding, one per window.

Two targets cover all tasks. A shared head is explained by the log-odds of the window's
*true* class: the question is what in the signal gives the true attribute away, also where
the model errs. Unlike a single raw logit, log-odds don't change when all logits shift.
The participant task has no head here (it never leaves a site); it is explained by the
similarity between the window's embedding and its person's gallery template.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Target(Protocol):
    """A differentiable scalar of an embedding."""

    def score(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        """Return what the map explains, (M,).

        Parameters
        ----------
        z_MD
            Embeddings, of changed copies of windows for instance.
        row_M
            The window (row of the batch the target was made for) behind each embedding.
        """
        ...

    def confidence(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        """Return the bounded form of `score` that insertion and deletion curves follow, (M,)."""
        ...


class ClassTarget:
    """The log-odds of each window's own class under a task head.

    Parameters
    ----------
    head
        Linear layer from embeddings to at least two classes.
    class_B
        Class per window; negative where unknown (such rows mean nothing and must be masked).
    """

    def __init__(self, head: nn.Module, class_B: np.ndarray) -> None:
        self.head = head
        self.class_B = torch.from_numpy(np.maximum(class_B, 0).astype(np.int64))

    def score(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        """Return log p / (1 - p) of the own class."""
        logits_MC: Tensor = self.head(z_MD)
        own_MC = functional.one_hot(self.class_B[row_M], logits_MC.shape[1]).bool()
        others_M = logits_MC.masked_fill(own_MC, -torch.inf).logsumexp(dim=1)
        return logits_MC[own_MC] - others_M

    def confidence(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        """Return the probability of the own class."""
        return torch.sigmoid(self.score(z_MD, row_M))


class SimilarityTarget:
    """The cosine between a window's embedding and its person's template, both gallery-centred.

    Parameters
    ----------
    template_BD
        Centred gallery template of each window's person.
    centre_BD
        The centre of each window's gallery.
    """

    def __init__(self, template_BD: np.ndarray, centre_BD: np.ndarray) -> None:
        self.template_BD = torch.from_numpy(template_BD.astype(np.float32))
        self.centre_BD = torch.from_numpy(centre_BD.astype(np.float32))

    def score(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        """Return the cosine similarity."""
        return functional.cosine_similarity(z_MD - self.centre_BD[row_M], self.template_BD[row_M], dim=1)

    def confidence(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        """Return the cosine similarity, which is bounded already."""
        return self.score(z_MD, row_M)


class RowsOf:
    """A target for some of the windows that another one was made for.

    Parameters
    ----------
    target
        Made for all windows.
    rows
        Indices of the chosen windows, which become rows 0, 1, ...
    """

    def __init__(self, target: Target, rows: np.ndarray) -> None:
        self.target = target
        self.rows = torch.from_numpy(rows.astype(np.int64))

    def score(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        """Return the other target's score."""
        return self.target.score(z_MD, self.rows[row_M])

    def confidence(self, z_MD: Tensor, row_M: Tensor) -> Tensor:
        """Return the other target's confidence."""
        return self.target.confidence(z_MD, self.rows[row_M])
