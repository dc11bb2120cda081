"""ResNets and MobileNetV2 with the layer names and the order of layers that torchvision publishes, for its state files.

Written from the papers and from the names in published state files, independently of the converter.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

PLANS = {
    "resnet18": (1, (2, 2, 2, 2)),
    "resnet34": (1, (3, 4, 6, 3)),
    "resnet50": (4, (3, 4, 6, 3)),
    "resnet101": (4, (3, 4, 23, 3)),
    "resnet152": (4, (3, 8, 36, 3)),
}


class Block(nn.Module):
    """A basic block (expansion 1) or a bottleneck (expansion 4) whose 3x3 convolution has the stride."""

    def __init__(self, n_in: int, width: int, expansion: int, stride: int) -> None:
        super().__init__()
        n_out = width * expansion
        plan = [(n_in, width, 3, stride), (width, n_out, 3, 1)]
        if expansion > 1:
            plan = [(n_in, width, 1, 1), (width, width, 3, stride), (width, n_out, 1, 1)]
        self.n_layers = len(plan)
        for i, (a, b, size, step) in enumerate(plan, start=1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, size, step, size // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(b))
        self.downsample = None
        if stride > 1 or n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i in range(1, self.n_layers + 1):
            y = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(y))
            if i < self.n_layers:
                y = y.relu()
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    def __init__(self, expansion: int, depths: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        n_in = 64
        for stage, depth in enumerate(depths, start=1):
            blocks = []
            for block in range(depth):
                width = 32 * 2**stage
                blocks.append(Block(n_in, width, expansion, 2 if stage > 1 and block == 0 else 1))
                n_in = width * expansion
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(n_in, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def convolution(n_in: int, n_out: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(n_out), nn.ReLU6()
    )


class Inverted(nn.Module):
    """An inverted residual: widen, filter each channel, narrow without activation."""

    def __init__(self, n_in: int, n_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = n_in * expansion
        layers = [convolution(n_in, hidden, 1)] if expansion > 1 else []
        layers.append(convolution(hidden, hidden, 3, stride, groups=hidden))
        self.conv = nn.Sequential(*layers, nn.Conv2d(hidden, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        self.is_residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.is_residual else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, n_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [convolution(3, 32, 3, 2)]
        n_in = 32
        # table 2 of the paper: expansion, channels, repeats, stride
        for expansion, n_out, n, stride in [
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
        ]:  # fmt: skip
            for i in range(n):
                layers.append(Inverted(n_in, n_out, stride if i == 0 else 1, expansion))
                n_in = n_out
        self.features = nn.Sequential(*layers, convolution(320, 1280, 1))
        self.classifier = nn.Sequential(OrderedDict({"0": nn.Dropout(0.2), "1": nn.Linear(1280, n_classes)}))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def published_network(architecture: str, *, n_classes: int = 7, seed: int = 0) -> nn.Module:
    """Return a network in eval mode with random weights and BatchNorm statistics that keep activations in range."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MobileNetV2(n_classes) if architecture == "mobilenet_v2" else ResNet(*PLANS[architecture], n_classes)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.0)
                nn.init.normal_(module.bias, 0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()
