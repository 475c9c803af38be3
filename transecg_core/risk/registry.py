"""Every attack of this edition, in the order of the report."""

from __future__ import annotations

from transecg_core.risk.attacks.adaptive import ADAPTIVE
from transecg_core.risk.attacks.attack import Attack
from transecg_core.risk.attacks.attribute_inference import AGE_INFERENCE, SEX_INFERENCE
from transecg_core.risk.attacks.client_inversion import CLIENT_INVERSION
from transecg_core.risk.attacks.embedding_consistency import EMBEDDING_CONSISTENCY
from transecg_core.risk.attacks.fiducial import FIDUCIAL
from transecg_core.risk.attacks.global_gradients import GLOBAL_GRADIENTS
from transecg_core.risk.attacks.global_losses import GLOBAL_LOSSES
from transecg_core.risk.attacks.identification import IDENTIFICATION
from transecg_core.risk.attacks.linkage_gap import LINKAGE_GAP
from transecg_core.risk.attacks.open_world import OPEN_WORLD
from transecg_core.risk.attacks.open_world_auxiliary import OPEN_WORLD_AUXILIARY
from transecg_core.risk.attacks.pca import PCA
from transecg_core.risk.attacks.pca_lda import PCA_LDA
from transecg_core.risk.attacks.pretrained_start import PRETRAINED_START
from transecg_core.risk.attacks.random_init import RANDOM_INIT
from transecg_core.risk.attacks.raw_correlation import RAW_CORRELATION
from transecg_core.risk.attacks.round_gradients import ROUND_GRADIENTS
from transecg_core.risk.attacks.round_losses import ROUND_LOSSES
from transecg_core.risk.attacks.shadow_lira import SHADOW_LIRA, SHADOW_LIRA_CONSISTENCY
from transecg_core.risk.attacks.shadow_rmia import SHADOW_RMIA
from transecg_core.risk.attacks.shared_head_loss import SHARED_HEAD_LOSS
from transecg_core.risk.attacks.shortcut_amplitude import AMPLITUDE
from transecg_core.risk.attacks.shortcut_harmonised import HARMONISED
from transecg_core.risk.attacks.shortcut_heart_rate import HEART_RATE
from transecg_core.risk.attacks.shortcut_mains import MAINS
from transecg_core.risk.attacks.shortcut_noise_spectrum import NOISE_SPECTRUM
from transecg_core.risk.attacks.shortcut_noise_windows import NOISE_WINDOWS
from transecg_core.risk.attacks.shortcut_permuted import PERMUTED
from transecg_core.risk.attacks.shortcut_site_alone import SITE_ALONE
from transecg_core.risk.attacks.shortcut_wander import WANDER
from transecg_core.risk.attacks.shortcut_within_site import WITHIN_SITE
from transecg_core.risk.attacks.source_site import SOURCE_SITE
from transecg_core.risk.attacks.update_inversion import UPDATE_INVERSION

ATTACKS: tuple[Attack, ...] = (
    RAW_CORRELATION,
    PCA,
    PCA_LDA,
    FIDUCIAL,
    RANDOM_INIT,
    PRETRAINED_START,
    IDENTIFICATION,
    OPEN_WORLD,
    OPEN_WORLD_AUXILIARY,
    ADAPTIVE,
    SEX_INFERENCE,
    AGE_INFERENCE,
    SOURCE_SITE,
    SHARED_HEAD_LOSS,
    EMBEDDING_CONSISTENCY,
    ROUND_GRADIENTS,
    ROUND_LOSSES,
    GLOBAL_GRADIENTS,
    GLOBAL_LOSSES,
    SHADOW_LIRA,
    SHADOW_LIRA_CONSISTENCY,
    SHADOW_RMIA,
    UPDATE_INVERSION,
    CLIENT_INVERSION,
    LINKAGE_GAP,
    SITE_ALONE,
    WITHIN_SITE,
    NOISE_SPECTRUM,
    NOISE_WINDOWS,
    HARMONISED,
    MAINS,
    WANDER,
    PERMUTED,
    HEART_RATE,
    AMPLITUDE,
)
