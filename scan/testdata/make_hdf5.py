"""Writes testdata/hdf5: files as h5py and Keras write them, for the reader of HDF5.

Made with h5py 3.16.0 (HDF5 2.0) and Keras 3.15.1: KERAS_BACKEND=numpy python make_hdf5.py

attributes.json has what h5py reads of the attributes that are texts, by file and object.
"""

import json
import pathlib

import h5py
import keras
import numpy as np

here = pathlib.Path(__file__).parent / "hdf5"
here.mkdir(exist_ok=True)
for old in here.iterdir():
    old.unlink()


def model(evil):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((4,)), keras.layers.Dense(3, activation="relu"), keras.layers.Dense(2)]
    if evil:
        layers.insert(2, keras.layers.Lambda(lambda x: x + 1))
    return keras.Sequential(layers)


model(False).save(here / "clean_keras.h5")
model(True).save(here / "evil_keras_lambda.h5")
model(False).save_weights(here / "clean_keras.weights.h5")

LAMBDA = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [
    {"class_name": "Lambda", "config": {"name": "l", "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAAA", "defaults": None, "closure": None}}}}]}})
SOUND = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [
    {"class_name": "Dense", "config": {"name": "d", "units": 3}}]}})
# Nothing that reads a file as bytes finds these words.
HIDDEN = LAMBDA.replace("Lambda", "\\u004cambda").replace("__lambda__", "\\u005f_lambda__")


def write(name, config, split=0, fixed=False, dense=False, many=0, **options):
    with h5py.File(here / name, "w", **options) as f:
        if dense:
            for i in range(12):  # eight are kept in the header
                f.attrs[f"note{i}"] = f"text {i}"
        value = np.bytes_(config) if fixed else config
        if split:
            for i in range(0, len(config), split):
                f.attrs[f"model_config{i // split}"] = np.bytes_(config[i:i + split]) if fixed else config[i:i + split]
        else:
            f.attrs["model_config"] = value
        g = f.create_group("model_weights")
        d = g.create_dataset("kernel", data=np.arange(12, dtype="f4").reshape(3, 4), chunks=(2, 2), compression="gzip", shuffle=True)
        d.attrs["note"] = "a kernel"
        for i in range(many):
            g.create_group(f"layer_{i}").attrs["name"] = f"layer {i}"


for name, config in [("clean", SOUND), ("evil", HIDDEN)]:
    write(f"{name}_earliest.h5", config)
    write(f"{name}_fixed.h5", config, fixed=True)
    write(f"{name}_latest.h5", config, libver="latest")
    write(f"{name}_v108.h5", config, libver=("earliest", "v108"))
    write(f"{name}_dense.h5", config, dense=True, libver="latest", track_order=True)
    write(f"{name}_dense_fixed.h5", config, dense=True, fixed=True, libver="latest")
    write(f"{name}_split.h5", config, split=60)
    write(f"{name}_split_fixed.h5", config, split=50, fixed=True, libver="latest")
    write(f"{name}_block.h5", config, userblock_size=512)
# An attribute of more than 64 KiB is a huge object of its heap.
write("evil_huge.h5", HIDDEN[:-1] + " " * 70_000 + "}", fixed=True, libver="latest")
write("clean_many_earliest.h5", SOUND, many=60)
write("clean_many_latest.h5", SOUND, many=60, libver="latest")

with h5py.File(here / "suspicious_external_link.h5", "w") as f:
    f["x"] = h5py.ExternalLink("other.h5", "/x")
with h5py.File(here / "dangerous_external_link.h5", "w", libver="latest") as f:
    f["x"] = h5py.ExternalLink("/etc/passwd", "/x")
with h5py.File(here / "dangerous_external_storage.h5", "w") as f:
    f.create_dataset("x", (4,), "f4", external=[("../secret", 0, 16)])
with h5py.File(here / "dangerous_virtual.h5", "w", libver="latest") as f:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("../other.h5", "x", (4,))
    f.create_virtual_dataset("x", layout)
with h5py.File(here / "suspicious_bomb.h5", "w") as f:
    f.create_dataset("x", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))
with h5py.File(here / "clean_links.h5", "w") as f:
    g = f.create_group("g")
    f["soft"] = h5py.SoftLink("/g")
    g["up"] = f["/"]  # a circle
with h5py.File(here / "dangerous_pickle.h5", "w") as f:
    # PyTables unpickles attributes as it opens a file.
    f.attrs["x"] = np.bytes_(b"cposix\nsystem\n(S'echo hello'\ntR.")
with h5py.File(here / "clean_types.h5", "w", libver="latest") as f:
    f.attrs["n"] = np.arange(5)
    f.attrs["texts"] = ["one", "two", "three"]
    f.attrs["fixed"] = np.array([b"four", b"five"])
    f.attrs["empty"] = h5py.Empty("f4")
    f.attrs["c"] = np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    f["t"] = np.dtype("f8")
    f.create_dataset("s", data=["a", "b"])
    f.attrs.create("typed", 1.0, dtype=f["t"])

texts = {}


def gather(name, path, o):
    found = {}
    for k in o.attrs:
        v = o.attrs[k]
        if isinstance(v, np.bytes_):
            v = v.decode("latin1")
        if isinstance(v, str):
            found[k] = v if len(v) < 3000 else f"{len(v)} characters"
    if found:
        texts.setdefault(name, {})[path] = found


for file in sorted(here.glob("*.h5")):
    with h5py.File(file) as f:
        gather(file.name, "/", f)
        f.visititems(lambda p, o: gather(file.name, "/" + p, o))
(here / "attributes.json").write_text(json.dumps(texts, indent=1, sort_keys=True) + "\n")
