"""Muon in fp32, for processors without instructions for bf16 and for `precision: fp32`."""

import torch


class Float32Muon(torch.optim.Muon):
    """torch's Muon, orthogonalising in fp32.

    torch's Muon orthogonalises in bf16, and has no option for another format. Processors without
    bf16 emulate it, which takes much of a training step of a small model. A step differs from
    torch's only by the rounding of bf16.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """Take a step; see `torch.optim.Muon`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter, group):
        state, gradient = self.state[parameter], parameter.grad
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        average = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        if group["nesterov"]:
            average = gradient.lerp(average, group["momentum"])
        update = orthogonal(average, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = parameter.shape
        rate = group["lr"] * max(1, rows / columns) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)


def orthogonal(matrix, coefficients, steps, eps):
    """The matrix with its singular values drawn towards 1, by Newton-Schulz iterations.

    Args:
        matrix: tensor [rows, columns].
        coefficients: (a, b, c) of the polynomial a s + b s^3 + c s^5 of the singular values.
        steps: number of iterations.
        eps: the least norm that is divided by.
    """
    a, b, c = coefficients
    rows, columns = matrix.shape
    x = matrix.T if rows > columns else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if rows > columns else x
