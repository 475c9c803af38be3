"""Random numbers: the cipher's published keystream, the Gaussian's formula and its distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from transecg_core.privacy import noise
from transecg_core.privacy.noise import Keystream, SecureSource, SeededSource


def test_keystream_is_chacha20_s() -> None:
    """RFC 8439, appendix A.1, test vectors 1 and 2 (key 0, nonce 0, blocks 0 and 1)."""
    wanted = bytes.fromhex(
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )
    stream = Keystream(bytes(32))
    assert b"".join(stream.words(count).numpy().tobytes() for count in (5, 0, 1, 10)) == wanted


def test_every_call_has_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[bytes] = []

    class Watched(Keystream):
        def __init__(self, key: bytes) -> None:
            keys.append(key)
            super().__init__(key)

    monkeypatch.setattr(noise, "Keystream", Watched)
    source = SecureSource()
    a, b = source.normal(40_000, "noise", 0), source.normal(40_000, "noise", 0)
    assert len(set(keys)) == len(keys) == 2
    assert {len(key) for key in keys} == {32}
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / 200
    assert len(np.unique(a)) == 40_000


def reference(words: np.ndarray) -> np.ndarray:
    """Half the sum of both samples of two Box-Muller pairs, in float128 where there is one."""
    radius, angle = words.reshape(2, 2, -1)
    u = ((radius & (2**53 - 1)) + 1).astype(np.longdouble) * np.longdouble(2) ** -53
    turn = angle.astype(np.longdouble) * np.longdouble(2) ** -63 * np.arccos(np.longdouble(-1))
    total: np.ndarray = (np.sqrt(-2 * np.log(u)) * (np.cos(turn) + np.sin(turn))).sum(axis=0) / 2
    return total


def test_normal_is_half_the_sum_of_four_box_muller_samples() -> None:
    words = Keystream(b"k" * 32).words(4 * 1000)
    extremes = torch.tensor([0, -1, 2**53 - 1, 2**63 - 1, -(2**63), 1])
    words[:6], words[2000:2006] = extremes, extremes.flip(0)
    out = torch.empty(1000, dtype=torch.float64)
    wanted = reference(words.numpy().copy())
    noise._box_muller_sums(words, out)
    assert np.isfinite(out.numpy()).all()
    np.testing.assert_allclose(out.numpy(), wanted.astype(np.float64), rtol=1e-12, atol=2e-15)


def test_no_two_samples_share_a_word() -> None:
    words = Keystream(b"k" * 32).words(4 * 50)
    before = torch.empty(50, dtype=torch.float64)
    noise._box_muller_sums(words.clone(), before)
    moved = []
    for place in range(200):
        changed = words.clone()
        changed[place] ^= 1 << 50
        after = torch.empty(50, dtype=torch.float64)
        noise._box_muller_sums(changed, after)
        moved.append(torch.nonzero(after != before).flatten().tolist())
    assert {len(m) for m in moved} == {1}
    assert all(sum(m == [i] for m in moved) == 4 for i in range(50))


@pytest.mark.parametrize("source", [SecureSource(), SeededSource(4)], ids=["secure", "seeded"])
def test_distributions(source: SecureSource | SeededSource) -> None:
    n = 200_000  # a right generator fails each with probability 1e-6
    assert stats.kstest(source.normal(n, "a"), "norm").pvalue > 1e-6
    assert stats.kstest(source.uniform(n, "a"), "uniform").pvalue > 1e-6
    u = source.uniform(n, "b")
    assert 0 <= u.min() < u.max() < 1
    assert np.all(u * 2**53 == np.floor(u * 2**53))


@pytest.mark.parametrize("count", [0, 1, noise._CACHED - 1, noise._CACHED + 1, 3 * noise._CACHED])
def test_any_count(count: int) -> None:
    x = SecureSource().normal(count)
    assert x.shape == (count,)
    assert len(np.unique(x)) == count
    assert SecureSource().uniform(count).shape == (count,)
