"""Writes reference.json: the six-layer CNN of FL-HMChain computed by PyTorch in
float64, as an implementation independent of this project: evaluation, one
training step with every gradient and running statistic, a short SGD trajectory.

    python3 reference.py > reference.json

Needs PyTorch (Debian: python3-torch; there also OPENBLAS_CORETYPE=SkylakeX).
Weights and images are not stored: both sides draw them from one generator, see
numbers. Of each tensor some entries, the norm and a random projection are kept.
"""
import json
import torch
import torch.nn as nn


def numbers(seed, *shape):
    """Values in [-1, 1) with 24 random bits, from a 64-bit linear congruential generator."""
    n, out = 1, []
    for d in shape:
        n *= d
    for _ in range(n):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(((seed >> 40) - 2**23) / 2**23)
    return torch.tensor(out, dtype=torch.float64).reshape(shape)


class Net(nn.Module):
    def __init__(self, channels, size, classes):
        super().__init__()

        def conv(i, o, padding=0):
            return [nn.Conv2d(i, o, 3, padding=padding), nn.BatchNorm2d(o), nn.ReLU()]

        self.features = nn.Sequential(
            *conv(channels, 16), *conv(16, 16), nn.MaxPool2d(2, 2),
            *conv(16, 64), *conv(64, 64), *conv(64, 64, 1), nn.MaxPool2d(2, 2))
        side = ((size - 4) // 2 - 4) // 2
        self.classifier = nn.Sequential(
            nn.Linear(64 * side * side, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def digest(t):
    """What is kept of a tensor: up to 12 evenly spaced entries, norm, projection."""
    v = t.detach().reshape(-1)
    n = v.numel()
    count = min(12, n)
    r = lambda x: float("%.9g" % x)
    return {"sample": [r(v[i * n // count].item()) for i in range(count)],
            "norm": r(v.norm().item()), "projection": r((v * numbers(7, n)).sum().item())}


def case(channels, size, classes, batch, rate, momentum, steps):
    m = Net(channels, size, classes).double()
    state = {k: v for k, v in m.state_dict().items() if not k.endswith("num_batches_tracked")}
    scales = {}
    for i, (name, t) in enumerate(state.items()):
        u = numbers(1000 + i, *t.shape)
        if name.endswith("running_var"):
            u = 1 + u / 2
        elif name.endswith("running_mean"):
            u = u / 4
        elif t.dim() == 1 and ".weight" in name:
            u = 1 + u / 4
        elif t.dim() == 1:
            u = u / 8
        else:
            scale = 1.0  # a power of two near sqrt(3 / fan in)
            while scale * scale * t[0].numel() > 3:
                scale /= 2
            scales[name] = scale
            u = u * scale
        t.copy_(u)
    x = numbers(5, batch, channels, size, size)
    y = torch.arange(batch) % classes
    out = {"channels": channels, "size": size, "classes": classes, "batch": batch, "rate": rate,
           "momentum": momentum, "names": list(state), "scales": scales}
    m.eval()
    out["evaluated"] = digest(torch.softmax(m(x), 1))
    m.train()
    loss = nn.CrossEntropyLoss()
    solver = torch.optim.SGD(m.parameters(), lr=rate, momentum=momentum)
    out["losses"] = []
    for step in range(steps):
        solver.zero_grad()
        value = loss(m(x), y)
        value.backward()
        if step == 0:
            out["gradients"] = {k: digest(p.grad) for k, p in m.named_parameters()}
            out["running"] = {k: digest(v) for k, v in m.state_dict().items() if "running" in k}
        solver.step()
        if step == 0:
            out["stepped"] = {k: digest(p) for k, p in m.named_parameters()}
        out["losses"].append(float("%.9g" % value.item()))
    m.eval()
    out["trained"] = digest(torch.softmax(m(x), 1))
    return out


cases = [case(1, 28, 2, 6, 0.05, 0.9, 8), case(3, 20, 5, 7, 0.1, 0.0, 8)]
print(json.dumps(cases, separators=(",", ":")).replace('},"', '},\n"'))
