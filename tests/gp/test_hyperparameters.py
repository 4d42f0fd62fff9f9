"""Fitting the kernel: which optimum the search finds, and the number of inducing points."""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.gp.inducing_points import default_inducing
from sgpu_lightning.metrics.functional import auroc

SIGNS = torch.tensor([1.0, 0.0])  # the first feature measures agreement


def striped(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Labels depend on the size of the first feature and on narrow stripes of the second."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 2, dtype=torch.float64, generator=generator)
    p = torch.special.ndtr(0.8 * features[:, 0] + 1.5 * torch.sign(torch.sin(6.0 * features[:, 1])))
    return features, (torch.rand(count, dtype=torch.float64, generator=generator) < p).double()


def test_the_search_finds_the_fine_structure_of_a_feature():
    fitted = fit_classifier(*striped(400, seed=0), [1, 1], agreement=SIGNS)
    features, labels = striped(1000, seed=1)
    assert auroc(fitted.freeze()(features).p_correct, labels) > 0.88  # the smooth optimum beside it: 0.64
    smooth, fine = fitted.latent.lengths.tolist()
    assert fine < 0.5 < 2.0 < smooth


def test_answer_subsets_get_twice_as_many_inducing_points():
    assert [default_inducing(answer_subsets=subsets) for subsets in (False, True)] == [128, 256]
    fitted = fit_classifier(*striped(600, seed=0))
    assert len(fitted.latent.variational_strategy.inducing_points) == 128
