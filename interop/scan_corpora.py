"""Grades the scanner, and others, on files that are known to be good or bad.

    python scan_corpora.py TENSMITH [--peer PYTHON] [--json FILE] [CORPUS=FOLDER...]

Without a corpus it grades the cases of scan/testdata. A corpus is a folder:
of a checkout of picklescan, modelscan, modelaudit or gopickle, whose test data
are known here by name; or one with a labels.json, as scan_capture.py leaves it,
whose labels scan_asserted.py holds against what the tests ask for.
PYTHON needs picklescan, modelscan and fickling, and is asked the same.

What is labelled dangerous has to be found dangerous, what is flagged must not
be clean, what is benign must not be dangerous, and what is clean has to be
clean. It prints a table of counts and every file that ours got wrong, and ends
with 1 if there are any.
"""

import argparse
import collections
import fnmatch
import json
import os
import subprocess
import sys
import tarfile
import tempfile

from scan_asserted import asserted

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Which of the files of a checkout are what. The first pattern that fits
# counts; a file that none fits is not graded. Labels follow the projects' own
# tests; clean stands for the weights that loaders need no code for.
CHECKOUTS = {
    "picklescan": [
        ("tests/data*/malicious*", "dangerous"), ("tests/data2/GHSA-*", "dangerous"), ("tests/data2/*exploit*", "dangerous"), ("tests/data2/dns_*", "dangerous"),
        ("tests/data2/*injection*", "dangerous"), ("tests/data2/*FileIO*", "dangerous"), ("tests/data2/logging_*", "dangerous"), ("tests/data2/types_*", "dangerous"), ("tests/data2/urllib_*", "dangerous"),
        ("tests/data/sys_module_override*", "dangerous"), ("tests/data/pytorch_magic_bypass.pt", "dangerous"), ("tests/data/benign0*", "clean"), ("tests/data*/*pytorch_model.bin", "clean"),
        ("tests/data2/int_array*", "clean"), ("tests/data2/object_array*", "benign"), ("tests/data/benign_password*", "benign"), ("tests/data/bad_pytorch.pt", "benign"),
    ],
    "modelscan": [("tests/data/unsafe_*", "dangerous")],
    "modelaudit": [
        ("tests/assets/exploits/*", "dangerous"), ("tests/assets/pickles/*.pkl", "dangerous"),
        ("tests/assets/samples/pickles/safe_*", "benign"),
        ("tests/assets/samples/pickles/simple_nested.pkl", "flagged"), ("tests/assets/samples/pickles/*", "dangerous"),  # kept out of the safe ones; no test asks for it
        ("tests/assets/samples/pytorch/malicious*", "dangerous"), ("tests/assets/samples/pytorch/safe*", "benign"),
        ("tests/assets/samples/safetensors/safe*", "clean"), ("tests/assets/samples/safetensors/malicious_import*", "flagged"), ("tests/assets/samples/archives/path*", "flagged"),
        ("tests/assets/samples/archives/safe*", "benign"), ("tests/assets/samples/jinja2/malicious/*", "flagged"), ("tests/assets/samples/jinja2/benign*", "benign"), ("tests/assets/samples/jinja2/benign/*", "benign"),
        ("tests/assets/samples/keras/malicious*", "flagged"), ("tests/assets/samples/keras/safe*", "benign"), ("tests/assets/samples/tensorflow/malicious*/*", "flagged"), ("tests/assets/samples/tensorflow/safe*/*", "benign"),
        ("tests/assets/scenarios/security_scenarios/*/*.pkl", "dangerous"), ("tests/assets/scenarios/license_scenarios/*.pkl", "benign"), ("tests/assets/scenarios/license_scenarios/*.npy", "clean"),
    ],
    "gopickle": [("pytorch/testdata/*.pt", "clean")],
}

# What a label takes for right.
RIGHT = {
    "dangerous": {"dangerous"},
    "flagged": {"dangerous", "suspicious", "error"},
    "benign": {"clean", "suspicious", "error"},
    "clean": {"clean"},
    "suspicious": {"suspicious", "error"},
}
WANT = {"not clean": "flagged", "not dangerous": "benign"}
ANSWERS = ("dangerous", "suspicious", "error", "timeout", "clean")


def own(folder):
    """The cases of scan/testdata, but those that may be anything."""
    for name in ("cases", "written"):
        data = os.path.join(ROOT, "scan", "testdata", name)
        with tarfile.open(data + ".tar.gz") as archive:
            archive.extractall(os.path.join(folder, name))  # ours, and nothing but files
        with open(data + ".json", encoding="utf-8") as f:
            table = json.load(f)
        for case in table if isinstance(table, list) else table["cases"]:
            if case["want"] == "any":
                continue
            if name == "written":
                corpus = "own: written by programs"
            elif case["name"][0] == "N":
                corpus = "own: harmless"
            elif case["name"][0] == "H":
                corpus = "own: names"
            else:
                corpus = "own: loads and runs" if case["fires"] else "own: attacks and bombs"
            yield corpus, os.path.join(folder, name, case["name"]), WANT.get(case["want"], case["want"])


def labelled(corpus, folder):
    """The files of a checkout, or of a folder with labels."""
    folder = os.path.abspath(folder)
    labels = os.path.join(folder, "labels.json")
    if os.path.exists(labels):
        with open(labels, encoding="utf-8") as f:
            for key, value in json.load(f).items():
                label, _ = asserted(value["test"], os.path.basename(key), value["label"])
                if label:
                    yield corpus, os.path.join(folder, key), {"clean": "benign"}.get(label, label)
        return
    for base, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(base, name)
            for pattern, label in CHECKOUTS[corpus]:
                if fnmatch.fnmatch(os.path.relpath(path, folder), pattern):
                    yield corpus, path, label
                    break


def ask_ours(program, path):
    done = subprocess.run([program, "scan", "--json", path], capture_output=True, text=True, timeout=120)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return "crash", [done.stderr.strip()[-300:]]
    found = [f"{f['id']} {f['message']}" for file in report["files"] for f in file["findings"]]
    code = {"clean": 0, "dangerous": 1, "suspicious": 1, "error": 2}[report["verdict"]]
    if done.returncode != code:
        return "crash", [f"exit {done.returncode} with verdict {report['verdict']}"]
    return report["verdict"], found


def files_of(path):
    if not os.path.isdir(path):
        return [path]
    return sorted(os.path.join(base, name) for base, _, names in os.walk(path) for name in names)


def ask_peers(python, paths):
    """What the peers say of each path, the worst of a folder's files."""
    single = sorted({file for path in paths for file in files_of(path)})
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scan_peer.py")
    done = subprocess.run([python, script], input="".join(f + "\n" for f in single), capture_output=True, text=True)
    lines = done.stdout.splitlines()
    if len(lines) != len(single) + 1:
        sys.exit(f"the peers gave up: {done.stderr[-500:]}")
    versions = json.loads(lines[0])
    said = {row["path"]: row for row in map(json.loads, lines[1:])}
    worst = lambda path, peer: min((said[f][peer] for f in files_of(path)), key=ANSWERS.index, default="error")
    return versions, {path: {peer: worst(path, peer) for peer in versions} for path in paths}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--json", metavar="FILE", help="keep all answers")
    parser.add_argument("corpora", nargs="*")
    args = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory() as folder:
        cases = list(own(folder)) if not args.corpora else []
        for text in args.corpora:
            corpus, _, where = text.partition("=")
            cases += labelled(corpus, where)
        versions, peers = ask_peers(args.peer, [path for _, path, _ in cases]) if args.peer else ({}, {})
        rows = []
        for corpus, path, label in cases:
            verdict, found = ask_ours(args.program, path)
            rows.append({"corpus": corpus, "path": os.path.relpath(path, folder) if path.startswith(folder) else path, "label": label, "tensmith": verdict, "found": found[:4], **peers.get(path, {})})
    wrong = print_table(rows, {"tensmith": "", **versions})
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(rows, f, indent=1)
    sys.exit(1 if wrong or not rows else 0)


def print_table(rows, versions):
    """Prints what each scanner said, for each label of each corpus."""
    print("| corpus | label | files | scanner | " + " | ".join(ANSWERS) + " | right |")
    print("|---|---|---:|---|" + "---:|" * (len(ANSWERS) + 1))
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["corpus"], row["label"]].append(row)
    wrong = []
    for (corpus, label), group in sorted(groups.items()):
        for scanner, version in versions.items():
            counts = collections.Counter(row[scanner] for row in group)
            right = sum(counts[a] for a in RIGHT[label])
            cells = " | ".join(str(counts[a] or "") for a in ANSWERS)
            print(f"| {corpus} | {label} | {len(group)} | {scanner} {version}".rstrip() + f" | {cells} | {right} |")
        wrong += [row for row in group if row["tensmith"] not in RIGHT[label]]
    print(f"\n{len(rows)} files, {len(wrong)} of which are not told as they are labelled")
    for row in wrong:
        print(f"{row['corpus']}: {row['path']}: {row['tensmith']}, labelled {row['label']}: {'; '.join(row['found'])[:300]}")
    return wrong


if __name__ == "__main__":
    main()
