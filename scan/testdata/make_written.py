"""Writes harmless files with the programs that people write them with.

    python make_written.py

Writes written.json, a table as cases.json, and written.tar.gz. Needs torch,
numpy, transformers, accelerate, pytorch-lightning, scikit-learn, joblib,
pandas, scipy, xgboost, lightgbm, omegaconf, ml-dtypes, onnx, sentencepiece,
tensorboard, pillow, peft and flax; the versions are in written.json. Checkpoints of torch in all their forms are in
convert/torch/testdata, which the test reads too.
"""

import argparse
import enum
import gzip
import importlib.metadata
import io
import json
import logging
import os
import pathlib
import pickle
import shutil
import tarfile
import tempfile
import warnings

os.environ.update(CUDA_VISIBLE_DEVICES="", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
warnings.simplefilter("ignore")

import joblib
import flax.serialization
import lightgbm
import ml_dtypes
import numpy as np
import omegaconf
import onnx
import pandas as pd
import peft
import PIL.Image
import pytorch_lightning as pl
import scipy.sparse
import sentencepiece
import torch
import torch.distributed.checkpoint
import torch.utils.tensorboard
import transformers
import xgboost
from sklearn import cluster, decomposition, ensemble, feature_extraction, linear_model, naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm, tree

logging.disable(logging.CRITICAL)

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ("torch", "numpy", "transformers", "accelerate", "pytorch-lightning", "scikit-learn", "joblib", "pandas", "scipy", "xgboost", "lightgbm", "omegaconf", "ml-dtypes", "onnx", "sentencepiece", "tensorboard", "pillow", "peft", "flax")

# Clean is what weights and their numbers have to be. An object of a program
# has to be told from them, and has to raise no alarm: suspicious.
table, files = [], {}


def put(name, want, raw):
    assert name not in files, name
    files[name] = raw if isinstance(raw, dict) else {"": raw}
    table.append({"name": name, "technique": "written by " + name.split("/")[0], "want": want, "finds": "", "fires": False})


def saved(obj, **options):
    out = io.BytesIO()
    torch.save(obj, out, **options)
    return out.getvalue()


def dumped(obj, **options):
    out = io.BytesIO()
    joblib.dump(obj, out, **options)
    return out.getvalue()


def folder(write):
    with tempfile.TemporaryDirectory() as d:
        write(d)
        return {os.path.relpath(os.path.join(r, f), d): open(os.path.join(r, f), "rb").read() for r, _, names in os.walk(d) for f in names}


def numpy_files():
    rng = np.random.default_rng(1)
    arrays = {
        "f8": rng.normal(size=(3, 4)), "f4-fortran": np.asfortranarray(rng.normal(size=(3, 4)).astype("f4")), "i2-big": np.arange(5, dtype=">i2"), "bool": np.array([True, False]),
        "c16": np.array([1j, 2]), "empty": np.zeros((0, 3)), "scalar": np.array(3.0), "text": np.array(["ab", "c"]), "bytes": np.array([b"ab", b"c"]),
        "record": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]), "dates": np.array(["2026-01-02"], dtype="M8[D]"), "objects": np.array([1, "a", None], dtype=object),
        "scalars": [np.float32(1), np.int64(2), np.bool_(True), np.str_("a"), np.dtype("f4")],
    }
    for name, array in arrays.items():
        # Text and dates as pickles are data, too.
        for protocol in (0, 2, 4, 5):
            put("numpy/%s-p%d.pkl" % (name, protocol), "clean", pickle.dumps(array, protocol))
        if isinstance(array, np.ndarray):
            out = io.BytesIO()
            np.save(out, array)
            put("numpy/%s.npy" % name, "not dangerous" if array.dtype == object else "clean", out.getvalue())
            put("joblib/%s.joblib" % name, "clean", dumped(array))
    for compress in ("zlib", "gzip", "bz2", "xz", "lzma"):
        put("joblib/compressed.joblib." + compress, "clean", dumped({"a": arrays["f8"], "b": [arrays["i2-big"]]}, compress=(compress, 3)))
    for name, save in (("npz", np.savez), ("compressed.npz", np.savez_compressed)):
        out = io.BytesIO()
        save(out, a=arrays["f8"], b=arrays["bool"])
        put("numpy/arrays." + name, "clean", out.getvalue())
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    put("numpy/masked.pkl", "suspicious", pickle.dumps(masked))
    put("numpy/generator.pkl", "suspicious", pickle.dumps(rng))
    put("numpy/random-state.pkl", "suspicious", pickle.dumps(np.random.RandomState(1)))
    put("numpy/rng-state-tuple.pkl", "clean", pickle.dumps(np.random.RandomState(1).get_state()))
    put("scipy/sparse.pkl", "suspicious", pickle.dumps(scipy.sparse.csr_matrix(np.eye(3))))
    out = io.BytesIO()
    scipy.sparse.save_npz(out, scipy.sparse.csr_matrix(np.eye(3)))
    put("scipy/sparse.npz", "clean", out.getvalue())
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.to_datetime(["2026-01-02"] * 2)})
    put("pandas/frame.pkl", "suspicious", pickle.dumps(frame))
    put("pandas/series.pkl", "suspicious", pickle.dumps(frame["a"]))


def torch_files():
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2))
    for name, make in (("sgd", lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)), ("adam", torch.optim.Adam), ("adamw", lambda p: torch.optim.AdamW(p, amsgrad=True)),
                       ("rmsprop", torch.optim.RMSprop), ("adagrad", torch.optim.Adagrad), ("lbfgs", torch.optim.LBFGS), ("radam", torch.optim.RAdam)):
        optimizer = make(model.parameters())
        def closure():
            optimizer.zero_grad()
            loss = model(torch.ones(5, 4)).square().mean()
            loss.backward()
            return loss
        optimizer.step(closure)
        state = {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "loss": 0.5}
        put("torch/%s.pt" % name, "clean", saved(state))
        put("torch/%s-legacy.pt" % name, "clean", saved(state, _use_new_zipfile_serialization=False))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for name, make in (("step", lambda o: torch.optim.lr_scheduler.StepLR(o, 2)), ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10)),
                       ("plateau", torch.optim.lr_scheduler.ReduceLROnPlateau), ("onecycle", lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.1, 10))):
        put("torch/scheduler-%s.pt" % name, "clean", saved(make(optimizer).state_dict()))
    put("torch/scaler.pt", "clean", saved(torch.amp.GradScaler("cpu").state_dict()))
    put("torch/rng.pth", "clean", saved({"python": __import__("random").getstate(), "numpy": np.random.RandomState(1).get_state(), "cpu": torch.get_rng_state()}))
    put("torch/namespace.pt", "suspicious", saved({"args": argparse.Namespace(lr=0.1, out=pathlib.Path("out")), "model": model.state_dict()}))
    put("torch/omegaconf.pt", "suspicious", saved({"cfg": omegaconf.OmegaConf.create({"a": {"b": [1]}}), "model": model.state_dict()}))
    put("torch/module.pt", "suspicious", saved(model))
    put("torch/module-legacy.pt", "suspicious", saved(torch.nn.LSTM(2, 2), _use_new_zipfile_serialization=False))
    put("torch/optimizer-object.pt", "suspicious", saved(optimizer))
    put("torch/swa.pt", "clean", saved(torch.optim.swa_utils.AveragedModel(model).state_dict()))
    put("torch/lists.pt", "clean", saved([torch.ones(2), (torch.zeros(1), {"a": torch.Size([1, 2])}), torch.device("cpu"), torch.float16]))
    put("torch/subnormal-names.pt", "clean", saved({"os.system": torch.ones(1), "__builtins__": torch.ones(1), "": torch.ones(1)}))
    with tempfile.TemporaryDirectory() as d:
        torch.save(model.state_dict(), os.path.join(d, "best_model.pth"))
        put("torch/best_model.pth", "clean", open(os.path.join(d, "best_model.pth"), "rb").read())
    put("torch/plain.pkl", "not dangerous", pickle.dumps(model.state_dict()))
    put("joblib/torch.joblib", "not dangerous", dumped(dict(model.state_dict())))


class Net(pl.LightningModule):
    def __init__(self, width=2):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)

    def training_step(self, batch, _):
        return self.layer(batch[0]).mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


def trainers():
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4, 2)), batch_size=2)
    with tempfile.TemporaryDirectory() as d:
        trainer = pl.Trainer(max_epochs=1, default_root_dir=d, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        trainer.fit(Net(), data)
        trainer.save_checkpoint(os.path.join(d, "x.ckpt"))
        put("lightning/x.ckpt", "not dangerous", open(os.path.join(d, "x.ckpt"), "rb").read())
    config = transformers.BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=8)
    bert = transformers.BertForSequenceClassification(config)
    put("transformers/bert-safetensors", "clean", folder(lambda d: bert.save_pretrained(d)))
    def old(d):  # transformers 5 writes no pickles any more; so did its Trainer and save_pretrained before
        config.save_pretrained(d)
        torch.save(bert.state_dict(), os.path.join(d, "pytorch_model.bin"))
    put("transformers/bert-bin", "clean", folder(old))
    args = transformers.TrainingArguments(output_dir="out", report_to=[], use_cpu=True)
    put("transformers/training_args.bin", "suspicious", saved(args))
    args = transformers.TrainingArguments(output_dir="out", report_to=[], use_cpu=True, learning_rate=1e-4, lr_scheduler_type="cosine", save_strategy="epoch")
    put("transformers/training_args-legacy.bin", "suspicious", saved(args, _use_new_zipfile_serialization=False))
    optimizer = torch.optim.AdamW(bert.parameters())
    put("transformers/scheduler.pt", "not dangerous", saved(transformers.get_linear_schedule_with_warmup(optimizer, 1, 10).state_dict()))


def estimators():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(20, 4))
    y = (X[:, 0] > 0).astype(int)
    words = ["red green blue", "green blue black"] * 5
    for name, e in {
        "logistic": linear_model.LogisticRegression(), "ridge": linear_model.Ridge(), "sgd": linear_model.SGDClassifier(), "forest": ensemble.RandomForestClassifier(3), "tree": tree.DecisionTreeClassifier(),
        "gradient": ensemble.GradientBoostingClassifier(n_estimators=3), "hist": ensemble.HistGradientBoostingClassifier(max_iter=3), "svc": svm.SVC(), "knn": neighbors.KNeighborsClassifier(), "kdtree": neighbors.KNeighborsClassifier(algorithm="kd_tree"),
        "bayes": naive_bayes.GaussianNB(), "mlp": neural_network.MLPClassifier((3,), max_iter=5), "kmeans": cluster.KMeans(2, n_init=1), "pca": decomposition.PCA(2), "isolation": ensemble.IsolationForest(n_estimators=3),
        "pipeline": pipeline.make_pipeline(preprocessing.StandardScaler(), preprocessing.PolynomialFeatures(2), linear_model.LogisticRegression()),
        "function": pipeline.make_pipeline(preprocessing.FunctionTransformer(np.log1p), linear_model.LinearRegression()), "onehot": preprocessing.OneHotEncoder(), "labels": preprocessing.LabelEncoder(),
    }.items():
        e.fit(y.reshape(-1, 1) if name == "onehot" else y if name == "labels" else np.abs(X) if name == "function" else X, *([] if name in ("onehot", "labels") else [y]))
        put("sklearn/%s.pkl" % name, "suspicious", pickle.dumps(e))
        put("sklearn/%s.joblib" % name, "suspicious", dumped(e))
    put("sklearn/logistic-compressed.joblib", "suspicious", dumped(linear_model.LogisticRegression().fit(X, y), compress=3))
    put("sklearn/tfidf.joblib", "suspicious", dumped(feature_extraction.text.TfidfVectorizer().fit(words)))
    put("xgboost/classifier.pkl", "suspicious", pickle.dumps(xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(X, y)))
    put("xgboost/booster.joblib", "suspicious", dumped(xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(X, y).get_booster()))
    put("lightgbm/classifier.pkl", "suspicious", pickle.dumps(lightgbm.LGBMClassifier(n_estimators=2, num_leaves=3, verbose=-1).fit(X, y)))


def repositories():
    for name in ("bfloat16", "float8_e4m3fn", "float4_e2m1fn", "int4"):
        of = getattr(ml_dtypes, name)
        for protocol in (2, 5):
            put("ml_dtypes/%s-p%d.pkl" % (name, protocol), "clean", pickle.dumps({"w": np.ones((2, 3), of), "s": np.ones(1, of)[0]}, protocol))
    put("ml_dtypes/bfloat16.joblib", "clean", dumped({"w": np.ones((2, 3), ml_dtypes.bfloat16)}))
    put("flax/model.msgpack", "clean", flax.serialization.to_bytes({"params": {"kernel": np.ones((2, 2), np.float32), "bias": np.ones(2, ml_dtypes.bfloat16)}, "step": 3}))

    def graph():
        weights = [onnx.numpy_helper.from_array(np.random.default_rng(1).standard_normal((8, 8), np.float32), "w%d" % i) for i in range(2)]
        nodes = [onnx.helper.make_node("MatMul", ["x", "w0"], ["y"]), onnx.helper.make_node("MatMul", ["y", "w1"], ["z"])]
        ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 8]) for n in ("x", "z")]
        return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], weights))

    for name, options in {"one": {"location": "model.onnx_data"}, "each": {"all_tensors_to_one_file": False}}.items():
        put("onnx/" + name, "clean", folder(lambda d: onnx.save_model(graph(), d + "/model.onnx", save_as_external_data=True, size_threshold=0, **options)))

    model = io.BytesIO()
    words = ["the quick brown fox jumps over the lazy dog", "weights of a model"] * 20
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(words), model_writer=model, vocab_size=40, hard_vocab_limit=False, normalization_rule_name="identity", minloglevel=2)
    put("sentencepiece/tokenizer.model", "clean", model.getvalue())

    def events(d):
        writer = torch.utils.tensorboard.SummaryWriter(d, filename_suffix=".x")
        writer.add_scalar("loss", 0.5, 1)
        writer.add_text("args", '{"lr": 0.1}')
        writer.close()
        os.rename(os.path.join(d, os.listdir(d)[0]), d + "/events.out.tfevents.1")

    put("tensorboard/runs", "clean", folder(events))
    # Tensors of one size are archives of one size, back to back.
    shards = folder(lambda d: torch.distributed.checkpoint.save({"w%d" % i: torch.ones(2, 2) for i in range(4)}, checkpoint_id=d))
    put("torch/shard.distcp", "clean", shards["__0_0.distcp"])
    bitmap = io.BytesIO()
    PIL.Image.new("RGB", (4, 4), "red").save(bitmap, "bmp")
    put("pillow/sample.bmp", "clean", bitmap.getvalue())

    config = transformers.GPT2Config(vocab_size=16, n_embd=4, n_layer=1, n_head=1, n_positions=4, bos_token_id=1, eos_token_id=2)
    for safe in (True, False):
        lora = peft.get_peft_model(transformers.GPT2LMHeadModel(config), peft.LoraConfig(r=1, target_modules=["c_attn"], task_type="CAUSAL_LM"))
        put("peft/lora" + ("" if safe else "-bin"), "clean", folder(lambda d: lora.save_pretrained(d, safe_serialization=safe)))


def main():
    for part in (numpy_files, torch_files, trainers, estimators, repositories):
        part()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as t:
        for name in sorted(files):
            for path, raw in sorted(files[name].items()):
                info = tarfile.TarInfo(name + ("/" + path if path else ""))
                info.size = len(raw)
                t.addfile(info, io.BytesIO(raw))
    with open(os.path.join(HERE, "written.tar.gz"), "wb") as f, gzip.GzipFile("", "wb", 9, f, 0) as z:
        z.write(out.getvalue())
    table.sort(key=lambda case: case["name"])
    with open(os.path.join(HERE, "written.json"), "w", encoding="utf-8") as f:
        versions = {p: importlib.metadata.version(p) for p in PROGRAMS if p != "xgboost"}
        versions["xgboost"] = xgboost.__version__
        f.write('{"programs": %s,\n"cases": [\n' % json.dumps(versions, sort_keys=True) + ",\n".join(json.dumps(case) for case in table) + "\n]}\n")
    print("%d cases" % len(table))


if __name__ == "__main__":
    main()
