"""Writes the weight files that the tests read, with PyTorch itself, into the folder
given, and expected.json: what each holds, or the code it is refused with.

    python3 generate.py .

Needs PyTorch (Debian: python3-torch). safetensors files are written by hand, from
the format's specification, because Debian has no package for them.
"""
import collections
import json
import os
import struct
import sys
import torch
import torch.nn as nn

folder = sys.argv[1]
expected = {}


def numbers(*shape):
    """Whole numbers and halves, which every type holds exactly."""
    n = 1
    for d in shape:
        n *= d
    return (torch.arange(n, dtype=torch.float32) % 31 - 12).reshape(shape) / 2


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3))
        self.fc = nn.Linear(4, 5)


def state():
    net = Net()
    with torch.no_grad():
        for t in net.state_dict().values():
            if t.is_floating_point():
                t.copy_(numbers(*t.shape))
    return net, net.state_dict()


def keep(name, tensors):
    expected[name] = {k: {"shape": list(t.shape), "values": t.detach().float().reshape(-1).tolist()}
                      for k, t in tensors.items() if t.is_floating_point()}


def save(name, value, tensors, **how):
    torch.save(value, os.path.join(folder, name), **how)
    keep(name, tensors)


def refuse(name, value, code, **how):
    torch.save(value, os.path.join(folder, name), **how)
    expected[name] = code


net, weights = state()
old = {"_use_new_zipfile_serialization": False}
save("zip.pt", weights, weights)
save("legacy.pth", weights, weights, **old)
for protocol in (3, 4, 5):
    save("protocol%d.pt" % protocol, weights, weights, pickle_protocol=protocol)
save("legacy4.pth", weights, weights, pickle_protocol=4, **old)
parameters = net.state_dict(keep_vars=True)
save("parameters.pt", parameters, parameters)
save("parameters-legacy.pth", parameters, parameters, **old)
solver = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for p in net.parameters():
    p.grad = torch.ones_like(p)
solver.step()
_, weights = state()
save("checkpoint.pt", {"epoch": 7, "loss": 0.25, "state_dict": weights, "optimizer": solver.state_dict()}, weights)
types = collections.OrderedDict((str(t).split(".")[1], numbers(2, 3).to(t))
                                for t in (torch.float16, torch.bfloat16, torch.float32, torch.float64))
types["int32"] = torch.arange(4, dtype=torch.int32)
types["bool"] = torch.tensor([True, False])
save("types.pt", types, types)
save("types-legacy.pth", types, types, **old)
base = numbers(4, 6)
views = {"all": base, "transposed": base.t(), "part": base[1:3, 2:5], "scalar": base[2, 3],
         "channels_last": numbers(2, 3, 2, 2).to(memory_format=torch.channels_last)}
save("views.pt", views, views)
save("views-legacy.pth", views, views, **old)


class Harm:
    def __reduce__(self):
        return os.system, ("exit 1",)


refuse("module.pt", net, "MF-PRETRAINED-OBJECT")
refuse("harm.pt", {"weight": numbers(2), "harm": Harm()}, "MF-PRETRAINED-OBJECT")
refuse("harm-legacy.pth", {"weight": numbers(2), "harm": Harm()}, "MF-PRETRAINED-OBJECT", **old)
refuse("tensor.pt", numbers(3), "MF-PRETRAINED-FORMAT")
refuse("empty.pt", {"epoch": 3}, "MF-PRETRAINED-FORMAT")
torch.jit.script(nn.Linear(2, 2)).save(os.path.join(folder, "script.pt"))
expected["script.pt"] = "MF-PRETRAINED-FORMAT"

# safetensors: other order than the data's, metadata, spaces, several types.
data, header = b"", {"__metadata__": {"format": "pt"}}
entries = []
names = {torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}
mixed = {"n.num_batches_tracked": torch.tensor(5), "b": numbers(3).half(), "a": numbers(2, 3), "d": numbers(2).double(),
         "c": numbers(2, 1, 2).bfloat16(), "scalar": numbers(1)[0]}
for k, t in mixed.items():
    raw = bytes((t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes())
    entries.append((k, {"dtype": names[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}))
    data += raw
header.update(reversed(entries))
text = json.dumps(header, indent=1).encode()
with open(os.path.join(folder, "mixed.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data)
keep("mixed.safetensors", mixed)

with open(os.path.join(folder, "expected.json"), "w") as f:
    json.dump(expected, f, separators=(",", ":"))
    f.write("\n")
