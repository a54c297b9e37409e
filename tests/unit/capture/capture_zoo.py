"""Networks as people write them, small: what growth of any module must cope with."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

from dagrow.capture import from_module
from dagrow.resize import with_plain_attention


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Two stages of two blocks; spaces: two streams, four inner widths, the output."""

    def __init__(self, classes=5):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Block(8, 8), Block(8, 8))
        self.layer2 = nn.Sequential(Block(8, 12, 2), Block(12, 12))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(12, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Vgg(nn.Module):
    """Convolutions, pools, a flattened map and dropout."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(True), nn.MaxPool2d(2),
            nn.Conv2d(6, 10, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(10 * 2 * 2, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 16), nn.ReLU(True), nn.Linear(16, 5)
        )

    def forward(self, x):
        return self.classifier(self.features(x).view(x.size(0), -1))


class DenseNet(nn.Module):
    """Every layer reads all before it."""

    def __init__(self, layers=3, growth=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(6 + i * growth) for i in range(layers))
        self.convs = nn.ModuleList(nn.Conv2d(6 + i * growth, growth, 3, padding=1, bias=False) for i in range(layers))
        self.norm = nn.BatchNorm2d(6 + layers * growth)
        self.head = nn.Linear(6 + layers * growth, 5)

    def forward(self, x):
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        return self.head(F.relu(self.norm(torch.cat(features, 1))).mean((2, 3)))


class MobileNet(nn.Module):
    """Inverted residuals with depthwise convolutions and squeeze-and-excitation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6(inplace=True))
        self.expand = nn.Sequential(nn.Conv2d(6, 18, 1, bias=False), nn.BatchNorm2d(18), nn.ReLU6(inplace=True))
        self.depth = nn.Sequential(
            nn.Conv2d(18, 18, 3, padding=1, groups=18, bias=False), nn.BatchNorm2d(18), nn.Hardswish(inplace=True)
        )
        self.squeeze, self.excite = nn.Conv2d(18, 4, 1), nn.Conv2d(4, 18, 1)
        self.project = nn.Sequential(nn.Conv2d(18, 6, 1, bias=False), nn.BatchNorm2d(6))
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        x = self.stem(x)
        y = self.depth(self.expand(x))
        y = y * torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return self.head((x + self.project(y)).mean([2, 3]))


class ResNeXt(nn.Module):
    """A grouped convolution, whose groups and channels of a group are two spaces."""

    def __init__(self):
        super().__init__()
        self.reduce, self.bn1 = nn.Conv2d(3, 12, 1, bias=False), nn.BatchNorm2d(12)
        self.grouped, self.bn2 = nn.Conv2d(12, 8, 3, padding=1, groups=4, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = F.relu(self.bn1(self.reduce(x)))
        return self.head(F.relu(self.bn2(self.grouped(x))).mean((2, 3)))


class UNet(nn.Module):
    """Down, up by a transposed convolution, and a concatenation across."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 5, 2, stride=2)
        self.mix, self.out = nn.Conv2d(11, 7, 3, padding=1), nn.Conv2d(7, 2, 1)
        self.norm = nn.GroupNorm(2, 8)

    def forward(self, x):
        first = F.relu(self.down1(x))
        deep = F.relu(self.norm(self.down2(F.max_pool2d(first, 2))))
        return self.out(F.relu(self.mix(torch.cat([first, self.up(deep)], dim=1))))


class Attention(nn.Module):
    """Packed queries, keys and values, in the manner of timm (``packed="view"``) or of GPT-2 (``"split"``)."""

    def __init__(self, width, heads, packed, causal):
        super().__init__()
        self.num_heads, self.head_dim, self.width = heads, width // heads, width
        self.packed, self.causal = packed, causal
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, t, _ = x.shape
        if self.packed == "view":
            q, k, v = self.qkv(x).reshape(b, t, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            parts = self.qkv(x).split(self.width, dim=2)
            q, k, v = (p.view(b, t, self.num_heads, self.width // self.num_heads).transpose(1, 2) for p in parts)
        if self.packed == "written":
            scores = (q @ k.transpose(-2, -1)) / math.sqrt(k.size(-1))
            y = F.softmax(scores, dim=-1) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(y.transpose(1, 2).reshape(b, t, -1))


class Layer(nn.Module):
    def __init__(self, width, heads, packed, causal, norm):
        super().__init__()
        self.ln1, self.ln2 = norm(width), norm(width)
        self.attn = Attention(width, heads, packed, causal)
        self.fc1, self.fc2, self.act = nn.Linear(width, 2 * width), nn.Linear(2 * width, width), nn.GELU()

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.fc2(self.act(self.fc1(self.ln2(x))))


class Gpt(nn.Module):
    """A decoder with tied embeddings."""

    def __init__(self, packed="split", tied=True, norm=nn.LayerNorm, width=12, vocabulary=11):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(16, width)
        self.h = nn.ModuleList(Layer(width, 3, packed, packed != "written", norm) for _ in range(2))
        self.ln_f, self.lm_head = norm(width), nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.lm_head.weight = self.wte.weight

    def forward(self, idx):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1], device=idx.device))
        for layer in self.h:
            x = layer(x)
        return self.lm_head(self.ln_f(x))


class Vit(nn.Module):
    """Patches, a class token, positions, packed attention."""

    def __init__(self, width=12):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.cls_token, self.pos_embed = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 5, width))
        self.blocks = nn.Sequential(*(Layer(width, 3, "view", False, nn.LayerNorm) for _ in range(2)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 0])


class TiedMlp(nn.Module):
    """An autoencoder with one weight for both ways, between ordinary layers."""

    def __init__(self):
        super().__init__()
        self.first, self.code, self.last = nn.Linear(6, 8), nn.Linear(8, 5), nn.Linear(8, 4)

    def forward(self, x):
        code = torch.relu(self.code(torch.relu(self.first(x))))
        return self.last(torch.relu(F.linear(code, self.code.weight.t())))


class SharedMlp(nn.Module):
    """One layer used twice on its own output."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = torch.tanh(self.first(x))
        return self.last(torch.tanh(self.again(torch.tanh(self.again(x)))))


class Mlp(nn.Module):
    def __init__(self, act=nn.ReLU):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 7), act(), nn.Linear(7, 5), act(), nn.Linear(5, 3))

    def forward(self, x):
        return self.net(x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.gru, self.last = nn.Linear(4, 6), nn.GRU(6, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x):
        return self.last(self.gru(torch.relu(self.first(x)))[0][:, -1])


class TorchEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, dropout=0.0)
        self.first, self.body, self.last = (
            nn.Linear(4, 8),
            nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
            nn.Linear(8, 3),
        )

    def forward(self, x):
        return self.last(self.body(self.first(x)).mean(1))


class Branching(nn.Module):
    """Its forward asks for a value."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        if x.sum() > 0:
            x = -x
        return self.fc(x)


def image():
    return torch.randn(2, 3, 8, 8)


def tokens():
    return torch.randint(0, 11, (2, 7))


ZOO = {
    "resnet": (ResNet, image),
    "vgg": (Vgg, image),
    "densenet": (DenseNet, image),
    "mobilenet": (MobileNet, image),
    "resnext": (ResNeXt, image),
    "unet": (UNet, image),
    "gpt": (Gpt, tokens),
    "gpt_written": (lambda: Gpt("written", tied=False), tokens),
    "gpt_rms": (lambda: Gpt("split", tied=False, norm=nn.RMSNorm), tokens),
    "vit": (Vit, image),
    "mlp": (Mlp, lambda: torch.randn(2, 6)),
    "tied_mlp": (TiedMlp, lambda: torch.randn(2, 6)),
    "shared_mlp": (SharedMlp, lambda: torch.randn(2, 6)),
    "recurrent": (Recurrent, lambda: torch.randn(2, 3, 4)),
    "torch_encoder": (TorchEncoder, lambda: torch.randn(2, 5, 4)),
    "plain_encoder": (lambda: with_plain_attention(TorchEncoder()), lambda: torch.randn(2, 5, 4)),
}


def made(name):
    """A network of the zoo in float64, all weights and averages moved off their defaults, and an example."""
    torch.manual_seed(0)
    make, example = ZOO[name]
    model = make().double()
    for tensor in model.parameters():
        tensor.data.add_(0.1 * torch.randn_like(tensor))
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    x = example()
    return model.eval(), x.double() if x.is_floating_point() else x


@cache
def captured(name):
    """A network of the zoo as it is captured, once per process; work on a copy (`copied`)."""
    return from_module(*made(name))
