"""Every attack of this edition, in the order of the report."""

from __future__ import annotations

from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.attacks.embedding_consistency import EMBEDDING_CONSISTENCY
from transecg_core.risk.attacks.fiducial import FIDUCIAL
from transecg_core.risk.attacks.global_gradients import GLOBAL_GRADIENTS
from transecg_core.risk.attacks.global_losses import GLOBAL_LOSSES
from transecg_core.risk.attacks.identification import IDENTIFICATION
from transecg_core.risk.attacks.linkage_gap import LINKAGE_GAP
from transecg_core.risk.attacks.pca import PCA
from transecg_core.risk.attacks.pca_lda import PCA_LDA
from transecg_core.risk.attacks.pretrained_start import PRETRAINED_START
from transecg_core.risk.attacks.random_init import RANDOM_INIT
from transecg_core.risk.attacks.raw_correlation import RAW_CORRELATION
from transecg_core.risk.attacks.round_gradients import ROUND_GRADIENTS
from transecg_core.risk.attacks.round_losses import ROUND_LOSSES
from transecg_core.risk.attacks.shared_head_loss import SHARED_HEAD_LOSS

ATTACKS: tuple[Attack, ...] = (
    RAW_CORRELATION,
    PCA,
    PCA_LDA,
    FIDUCIAL,
    RANDOM_INIT,
    PRETRAINED_START,
    IDENTIFICATION,
    SHARED_HEAD_LOSS,
    EMBEDDING_CONSISTENCY,
    ROUND_GRADIENTS,
    ROUND_LOSSES,
    GLOBAL_GRADIENTS,
    GLOBAL_LOSSES,
    LINKAGE_GAP,
)
