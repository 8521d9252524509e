"""Writes reference.json: forward results and gradients of single layers, computed
by PyTorch in float64 as an implementation independent of this project.

    python3 reference.py > reference.json

Needs PyTorch (Debian: python3-torch; there also OPENBLAS_CORETYPE=SkylakeX).
Inputs are not stored: both sides draw them from one generator, see numbers.
Images are NCHW here, the order of torch; the Go test turns them round.
"""
import json
import torch
import torch.nn.functional as F


def numbers(seed, *shape):
    """Values in [-1, 1) with 24 random bits, from a 64-bit linear congruential generator."""
    n, out = 1, []
    for d in shape:
        n *= d
    for _ in range(n):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(((seed >> 40) - 2**23) / 2**23)
    return torch.tensor(out, dtype=torch.float64).reshape(shape).requires_grad_(True)


def flat(t):
    return [float("%.9g" % v) for v in t.detach().reshape(-1).tolist()]


def case(layer, sizes, inputs, f):
    y = f(*inputs)
    y.backward(numbers(99, *y.shape).detach() if y.dim() else None)
    return {"layer": layer, "sizes": sizes, "out": flat(y), "gradients": [flat(i.grad) for i in inputs]}


cases = []
# batch, channels, height, width, filters, kernel height, kernel width, stride, padding
for s in [(2, 1, 6, 5, 3, 3, 3, 1, 0), (2, 3, 5, 6, 4, 3, 3, 1, 1), (1, 2, 7, 8, 17, 3, 3, 2, 1),
          (1, 2, 9, 9, 3, 7, 7, 2, 3), (2, 5, 3, 4, 2, 1, 1, 1, 0), (1, 3, 5, 5, 2, 1, 1, 2, 0),
          (1, 2, 6, 7, 3, 2, 4, 3, 1)]:
    n, c, h, w, o, kh, kw, stride, pad = s
    inputs = numbers(1, n, c, h, w), numbers(2, o, c, kh, kw), numbers(3, o)
    cases.append(case("conv", s, inputs, lambda x, w, b: F.conv2d(x, w, b, stride=stride, padding=pad)))

# batch, channels, height, width, ReLU behind it
for s in [(3, 2, 3, 4, 0), (2, 3, 2, 2, 1)]:
    n, c, h, w, relu = s
    mean, var = torch.full((c,), 0.25, dtype=torch.float64), torch.full((c,), 2.0, dtype=torch.float64)

    def norm(x, g, b, training=True):
        y = F.batch_norm(x, mean, var, g, b, training=training, momentum=0.1, eps=1e-5)
        return F.relu(y) if relu else y

    inputs = numbers(1, n, c, h, w), numbers(2, c), numbers(3, c)
    entry = case("batchnorm", s, inputs, norm)
    entry["mean"], entry["var"] = flat(mean), flat(var)
    entry["evaluated"] = flat(norm(*inputs, training=False))
    cases.append(entry)

# batch, channels, height, width, ReLU behind it, before a 2×2 max-pooling
for s in [(3, 2, 4, 6, 1), (2, 17, 2, 2, 0), (2, 3, 5, 4, 1)]:
    n, c, h, w, relu = s
    mean, var = torch.full((c,), 0.25, dtype=torch.float64), torch.full((c,), 2.0, dtype=torch.float64)

    def pooled(x, g, b, training=True):
        y = F.batch_norm(x, mean, var, g, b, training=training, momentum=0.1, eps=1e-5)
        return F.max_pool2d(F.relu(y) if relu else y, 2)

    inputs = numbers(1, n, c, h, w), numbers(2, c), numbers(3, c)
    entry = case("pooledbatchnorm", s, inputs, pooled)
    entry["mean"], entry["var"] = flat(mean), flat(var)
    entry["evaluated"] = flat(pooled(*inputs, training=False))
    cases.append(entry)

# batch, channels, height, width, window, stride, padding
for s in [(2, 2, 4, 6, 2, 2, 0), (1, 3, 5, 5, 2, 2, 0), (1, 2, 7, 6, 3, 2, 1)]:
    n, c, h, w, k, stride, pad = s
    cases.append(case("maxpool", s, (numbers(1, n, c, h, w),), lambda x: F.max_pool2d(x, k, stride, pad)))

# batch, channels, height, width, window, stride, padding
for s in [(2, 2, 4, 6, 2, 2, 0), (1, 3, 5, 5, 2, 2, 0), (1, 2, 7, 6, 3, 2, 1), (2, 17, 5, 4, 3, 1, 1)]:
    n, c, h, w, k, stride, pad = s
    cases.append(case("averagepool", s, (numbers(1, n, c, h, w),), lambda x: F.avg_pool2d(x, k, stride, pad)))

for s in [(2, 3, 4, 5), (1, 17, 7, 7)]:  # batch, channels, height, width
    n, c, h, w = s
    cases.append(case("globalaveragepool", s, (numbers(1, n, c, h, w),), lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1)))

for s in [(2, 3, 4, 5, 0), (3, 2, 3, 3, 1)]:  # batch, channels, height, width, ReLU behind it
    n, c, h, w, relu = s
    inputs = numbers(1, n, c, h, w), numbers(2, n, c, h, w)
    cases.append(case("add", s, inputs, lambda a, b: F.relu(a + b) if relu else a + b))

# batch, channels, height, width, filters, kernel height, kernel width, stride, padding, without bias
for s in [(2, 4, 5, 6, 18, 3, 3, 1, 1, 0), (2, 20, 4, 4, 5, 1, 1, 2, 0, 0)]:
    n, c, h, w, o, kh, kw, stride, pad, _ = s
    inputs = numbers(1, n, c, h, w), numbers(2, o, c, kh, kw)
    cases.append(case("conv", s, inputs, lambda x, w: F.conv2d(x, w, stride=stride, padding=pad)))

for s in [(3, 5, 4), (2, 16, 3)]:  # batch, inputs, outputs
    n, i, o = s
    cases.append(case("linear", s, (numbers(1, n, i), numbers(2, o, i), numbers(3, o)), F.linear))

# batch, channels, height, width: flatten in front of a weighted sum
n, c, h, w = s = (2, 3, 2, 4)
cases.append(case("flatten", s, (numbers(1, n, c, h, w),), lambda x: x.flatten(1)))

n, k = s = (5, 3)  # batch, classes; labels are 0, 1, 2, 0, 1
labels = torch.arange(n) % k
cases.append(case("crossentropy", s, (numbers(1, n, k),), lambda x: F.cross_entropy(4 * x, labels)))

print(json.dumps(cases, separators=(",", ":")).replace('},{"layer"', '},\n{"layer"'))
