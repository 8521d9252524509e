"""PyTorch's side of the benchmark: reads a command a line, answers with a line, both
JSON. Times are of the work alone, without reading and writing.

    python3 worker.py THREADS
"""
import json
import struct
import sys
import time
import numpy
import torch
import torch.nn as nn

torch.set_num_threads(int(sys.argv[1]))
TYPES = {torch.float32: "F32", torch.int64: "I64"}


def hmchain():
    def conv(i, o, padding=0):
        return [nn.Conv2d(i, o, 3, padding=padding), nn.BatchNorm2d(o), nn.ReLU()]
    net = nn.Sequential()
    net.add_module("features", nn.Sequential(
        *conv(1, 16), *conv(16, 16), nn.MaxPool2d(2, 2), *conv(16, 64), *conv(64, 64), *conv(64, 64, 1), nn.MaxPool2d(2, 2)))
    net.add_module("flatten", nn.Flatten())
    net.add_module("classifier", nn.Sequential(nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2)))
    return net


def resnet50():
    import torchvision
    net = torchvision.models.resnet50()
    net.fc = nn.Identity()
    return net


def vgg16():
    import torchvision
    net = torchvision.models.vgg16()
    net.avgpool = nn.AdaptiveAvgPool2d(1)
    net.classifier = nn.Identity()
    return net


def read(path):
    """The tensors of a safetensors file of float32 values."""
    with open(path, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(n)), f.read()
    return {k: torch.from_numpy(numpy.frombuffer(data[slice(*e["data_offsets"])], "<f4").copy().reshape(e["shape"]))
            for k, e in header.items()}


def write(path, state):
    header, data = {}, b""
    for k, t in state.items():
        raw = t.detach().contiguous().numpy().tobytes()
        header[k] = {"dtype": TYPES[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


nets = {}


def load(name, net, weights, images, size, channels, labels=None, channels_last=False, rate=0, momentum=0):
    m = {"hmchain-cnn": hmchain, "resnet50": resnet50, "vgg16": vgg16}[net]()
    missing, unexpected = m.load_state_dict(read(weights), strict=False)
    wrong = [k for k in missing if not k.endswith("num_batches_tracked")] + list(unexpected)
    if wrong:
        raise ValueError("the weights are not those of %s: %s" % (net, wrong))
    x = torch.from_numpy(numpy.fromfile(images, "<f4").reshape(-1, size, size, channels)).permute(0, 3, 1, 2).contiguous()
    if channels_last:
        m, x = m.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    y = torch.tensor(labels) if labels else None
    m.train(labels is not None)
    nets[name] = (m, x, y, torch.optim.SGD(m.parameters(), lr=rate, momentum=momentum) if labels else None)
    return {}


def step(name):
    m, x, y, solver = nets[name]
    start = time.perf_counter()
    solver.zero_grad()
    loss = nn.functional.cross_entropy(m(x), y)
    loss.backward()
    solver.step()
    return {"seconds": time.perf_counter() - start}


def forward(name, out=None):
    m, x, _, _ = nets[name]
    with torch.no_grad():
        start = time.perf_counter()
        features = m(x)
        seconds = time.perf_counter() - start
    if out:
        features.flatten(1).contiguous().numpy().astype("<f4").tofile(out)
    return {"seconds": seconds}


def matmul(size):
    """Tells what PyTorch's BLAS is worth."""
    a, b = torch.ones(size, size), torch.ones(size, size)
    start = time.perf_counter()
    a @ b
    return {"seconds": time.perf_counter() - start}


def save(name, out):
    write(out, nets[name][0].state_dict())
    return {}


def drop(name):
    del nets[name]
    return {}


for line in sys.stdin:
    command = json.loads(line)
    try:
        answer = globals()[command.pop("do")](**command)
    except Exception as e:
        answer = {"error": "%s: %s" % (type(e).__name__, e)}
    print(json.dumps(answer), flush=True)
