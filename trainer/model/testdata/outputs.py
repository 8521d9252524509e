"""Loads an exported model into the same network written in PyTorch, and writes what
it makes of images: an independent reader of the export.

    python3 outputs.py MODEL CHANNELS SIZE CLASSES WEIGHTS.safetensors INPUTS STATE.pt

INPUTS are raw float32 values, NHWC or a backbone's features; the probabilities are
printed as JSON. The loaded state dict is saved again by torch.save.
"""
import json
import struct
import sys
import numpy
import torch
import torch.nn as nn

name, channels, size, classes, weights, inputs, saved = sys.argv[1:]
channels, size, classes = int(channels), int(size), int(classes)


def hmchain():
    def conv(i, o, padding=0):
        return [nn.Conv2d(i, o, 3, padding=padding), nn.BatchNorm2d(o), nn.ReLU()]
    side = ((size - 4) // 2 - 4) // 2
    net = nn.Module()
    net.features = nn.Sequential(*conv(channels, 16), *conv(16, 16), nn.MaxPool2d(2, 2),
                                 *conv(16, 64), *conv(64, 64), *conv(64, 64, 1), nn.MaxPool2d(2, 2))
    net.classifier = nn.Sequential(nn.Linear(64 * side * side, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, classes))
    net.forward = lambda x: net.classifier(net.features(x).flatten(1))
    return net


def ensemble():
    net = nn.Module()
    net.members = nn.ModuleList(hmchain() for _ in range(5))
    net.forward = lambda x: torch.stack([torch.softmax(member.forward(x), 1) for member in net.members]).mean(0).log()
    return net


def resnet18():
    import torchvision
    net = torchvision.models.resnet18(num_classes=classes)
    net.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    net.maxpool = nn.Identity()
    return net


def head(features):
    net = nn.Module()
    net.norm = nn.BatchNorm1d(features, eps=0, affine=False)
    net.head = nn.Sequential(nn.Dropout(), nn.Linear(features, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, classes))
    net.forward = lambda x: net.head(net.norm(x))
    return net


with open(weights, "rb") as f:
    n, = struct.unpack("<Q", f.read(8))
    header, data = json.loads(f.read(n)), f.read()
state = {k: torch.from_numpy(numpy.frombuffer(data[slice(*e["data_offsets"])], "<f4").copy().reshape(e["shape"])) for k, e in header.items()}
net = {"hmchain-cnn": hmchain, "hmchain-cnn-ensemble": ensemble, "resnet18": resnet18, "vgg16": lambda: head(512), "resnet50": lambda: head(2048)}[name]()
missing, unexpected = net.load_state_dict(state, strict=False)
assert not unexpected and all(k.endswith("num_batches_tracked") for k in missing), (missing, unexpected)
net.eval()
if hasattr(net, "norm"):  # a feature that never changed in training counts for nothing
    net.norm.running_var[net.norm.running_var == 0] = torch.inf
x = torch.from_numpy(numpy.fromfile(inputs, "<f4"))
x = x.reshape(-1, size, size, channels).permute(0, 3, 1, 2) if size < 100 else x.reshape(-1, 512 if name == "vgg16" else 2048)
with torch.no_grad():
    print(json.dumps(torch.softmax(net.forward(x), 1).reshape(-1).tolist()))
torch.save(net.state_dict(), saved)
