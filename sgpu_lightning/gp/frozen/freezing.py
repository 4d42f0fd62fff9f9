"""From a latent GP to its frozen form."""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP, FrozenTensors
from sgpu_lightning.gp.kernels import KernelName, correlation
from sgpu_lightning.gp.latent import LatentGP


def frozen_form(latent: LatentGP, kernel: KernelName, mean: Tensor, scale: Tensor) -> FrozenGP:
    """The prediction of a latent GP as a plain module, for the parameters as they are now.

    With the whitened posterior N(m, S) and L L^T = k(Z, Z) + jitter: alpha = L^-T m, M = L^-T (S - I) L^-1. Where
    gradients are on, the tensors carry them to the parameters.

    Args:
        latent: The latent GP.
        kernel: The name of its kernel.
        mean: Subtracted from features to standardise them, [F].
        scale: What they are then divided by, [F].
    """
    output_scale, length = latent.output_scale, latent.lengths
    points = latent.variational_strategy.inducing_points / length
    identity = torch.eye(len(points)).to(points)
    covariance = output_scale * correlation(points, points, kernel) + latent.jitter * identity
    inverse = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), identity, upper=False)
    posterior = latent.posterior
    tensors = FrozenTensors(
        mean=mean.clone(),
        inverse_scale=1.0 / (scale * length),
        inducing=points,
        alpha=inverse.mT @ posterior.mean,
        middle=inverse.mT @ (posterior.covariance - identity) @ inverse,
        constant=latent.mean_module.constant.reshape(()).clone(),
        output_scale=output_scale,
        diagonal=output_scale + latent.jitter,
        **latent.mean_basis.frozen(latent.mean_weights, length),
    )
    return FrozenGP(kernel, tensors, latent.mean_basis.base)
