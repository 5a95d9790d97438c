"""Small networks with random weights, and histories to read, for the tests of the network's parts."""

import torch

from models.config import NetworkConfig
from models.network import Network

LENGTH, NUM_ITEMS = 10, 100


def network(**changes) -> Network:
    torch.manual_seed(0)
    extractor = "contextual" if "encoder" in changes else "self-attention"
    config = {"num_items": NUM_ITEMS, "dim": 16, "max_len": LENGTH, "dropout": 0, "extractor": extractor, **changes}
    return Network(NetworkConfig(**config)).eval()


def disturbed(**changes) -> Network:
    """A network of which every part does something: what starts at zero is filled."""
    return disturb(network(**changes))


def disturb(model: Network) -> Network:
    """Fill the parameters that start at zero, padding apart."""
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def histories(*lengths: int) -> torch.Tensor:
    rows = torch.zeros(len(lengths), LENGTH, dtype=torch.long)
    generator = torch.Generator().manual_seed(1)
    for line, length in enumerate(lengths):
        rows[line, LENGTH - length :] = torch.randint(1, NUM_ITEMS + 1, (length,), generator=generator)
    return rows
