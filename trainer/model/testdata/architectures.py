"""Writes architectures.json: ResNet-18 for small images with a training step, and
the features of torchvision's vgg16 and resnet50, computed by PyTorch in float64.

    python3 architectures.py > architectures.json

Needs PyTorch and torchvision (Debian: python3-torchvision; there also
OPENBLAS_CORETYPE=SkylakeX). Weights and images are not stored: both sides draw
them from one generator, see numbers. Of each tensor some entries, the norm and a
random projection are kept.
"""
import copy
import json
import numpy
import torch
import torch.nn as nn
import torchvision


def numbers(seed, *shape):
    """As in reference.py: a linear congruential generator, here with steps of powers
    of two at once, because a backbone takes millions of numbers."""
    n = 1
    for d in shape:
        n *= d
    state = numpy.empty(n, dtype=numpy.uint64)
    a, c = 6364136223846793005, 1442695040888963407
    state[0] = (seed * a + c) % 2**64
    done, factor, term = 1, a, c
    while done < n:
        more = min(done, n - done)
        state[done:done + more] = state[:more] * numpy.uint64(factor) + numpy.uint64(term)
        done += more
        factor, term = factor * factor % 2**64, (factor * term + term) % 2**64
    values = ((state >> numpy.uint64(40)).astype(numpy.float64) - 2**23) / 2**23
    return torch.from_numpy(values).reshape(shape)


def digest(t):
    """What is kept of a tensor: up to 12 evenly spaced entries, norm, projection."""
    v = t.detach().reshape(-1)
    n = v.numel()
    count = min(12, n)
    r = lambda x: float("%.9g" % x)
    return {"sample": [r(v[i * n // count].item()) for i in range(count)],
            "norm": r(v.norm().item()), "projection": r((v * numbers(7, n)).sum().item())}


def draw(m):
    """Sets the weights of m; returns names and the scales of the convolutions."""
    state = {k: v for k, v in m.state_dict().items() if not k.endswith("num_batches_tracked")}
    scales = {}
    for i, (name, t) in enumerate(state.items()):
        u = numbers(1000 + i, *t.shape)
        if name.endswith("running_var"):
            u = 1 + u / 2
        elif name.endswith("running_mean"):
            u = u / 4
        elif t.dim() == 1 and name.endswith("weight"):
            u = 1 + u / 4
        elif t.dim() == 1:
            u = u / 8
        else:
            scale = 1.0  # a power of two near sqrt(6 / fan in)
            while scale * scale * t[0].numel() > 6:
                scale /= 2
            scales[name] = scale
            u = u * scale
        t.copy_(u)
    return {"names": list(state), "scales": scales}


def resnet18(channels, classes):
    """torchvision's ResNet-18 with MedMNIST's stem: 3×3, stride 1, no max-pooling."""
    m = torchvision.models.resnet18(num_classes=classes)
    m.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    m.maxpool = nn.Identity()
    return m.double()


def step(m, x, y):
    """One step forward and backward: loss, digests of the gradients, and what goes
    into each ReLU."""
    before = []
    for module in m.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
            module.register_forward_pre_hook(lambda _, x: before.append(x[0].detach()))
    m.train()
    loss = nn.CrossEntropyLoss()(m(x), y)
    loss.backward()
    return loss.item(), {k: digest(p.grad.double()) for k, p in m.named_parameters()}, before


def far(got, want):
    """How far a digest is from another, as near in model_test.go measures it."""
    scale = max(abs(v) for v in want["sample"])
    return max([abs(g - w) / scale for g, w in zip(got["sample"], want["sample"])] +
               [abs(got[k] - want[k]) / want["norm"] for k in ("norm", "projection")])


def trained(channels, size, classes, batch, seed):
    """A step of ResNet-18 on images drawn from seed. A ReLU's derivative jumps at
    zero: where float64 and float32 round to different sides of it, one activation
    changes the gradients of all layers before it by some thousandths, in PyTorch as
    anywhere else. So that gradients can be compared strictly, no input of a ReLU
    may be nearer to zero than the largest rounding error of its layer. Among the
    seeds 5 to 44 those below keep farthest from it. float32 is the largest error of
    PyTorch's own gradients in float32."""
    m = resnet18(channels, classes)
    out = {"model": "resnet18", "channels": channels, "size": size, "classes": classes, "batch": batch, "seed": seed, **draw(m)}
    x, y = numbers(seed, batch, channels, size, size), torch.arange(batch) % classes
    m.eval()
    out["evaluated"] = digest(torch.softmax(m(x), 1))
    single = copy.deepcopy(m).float()
    loss, out["gradients"], before = step(m, x, y)
    _, rounded, rounding = step(single, x.float(), y)
    for exact, near in zip(before, rounding):
        assert exact.abs().min() > (exact - near).abs().max(), "a ReLU's input is within rounding of zero; use another seed"
    out["float32"] = float("%.3g" % max(far(rounded[k], want) for k, want in out["gradients"].items()))
    out["loss"] = float("%.9g" % loss)
    out["running"] = {k: digest(v) for k, v in m.state_dict().items() if "running" in k}
    return out


def frozen(name, m, batch):
    m = m.double().eval()
    out = {"model": name, "channels": 3, "size": 224, "classes": 2, "batch": batch, **draw(m)}
    with torch.no_grad():
        features = m(numbers(5, batch, 3, 224, 224))
    out["evaluated"] = digest(features)
    return out


def resnet50():
    m = torchvision.models.resnet50()
    m.fc = nn.Identity()
    return m


class VGG16(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = torchvision.models.vgg16().features

    def forward(self, x):
        return self.features(x).mean((2, 3))


torch.set_num_threads(1)
cases = [trained(1, 28, 2, 2, 23), trained(3, 17, 5, 3, 12), frozen("vgg16", VGG16(), 1), frozen("resnet50", resnet50(), 2)]
print(json.dumps(cases, separators=(",", ":")).replace('},"', '},\n"'))
