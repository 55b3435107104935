"""How the weights of convolutional networks start."""

from torch import nn

DEVIATION = 0.02  # Radford et al. 2015, arXiv 1511.06434, section 4; Isola et al. 2016, arXiv 1611.07004, section 6.2
SLOPE = 0.2  # of every leaky rectifier


def init_normal(network: nn.Module) -> None:
    """Draw the weights of all convolutions from N(0, 0.02); biases start at 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, DEVIATION)
            _zero_bias(module)


def init_kaiming(network: nn.Module) -> None:
    """Kaiming before leaky rectifiers, for convolutions and dense layers without normalisation; biases start at 0.

    There N(0, 0.02) would let the signal die (He et al. 2015, arXiv 1502.01852, section 2.2).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            _zero_bias(module)


def _zero_bias(module: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> None:
    if module.bias is not None:
        nn.init.zeros_(module.bias)
