"""Keeps the files that the tests of other scanners make, with their verdicts.

    PYTHONPATH=interop CAPTURE=FOLDER python -m pytest -p scan_capture THEIR/TESTS

A plugin of pytest: every file that a test of picklescan, modelscan, fickling
or modelaudit hands to the scanner under test is copied to FOLDER, and
FOLDER/labels.json says what that scanner, held to its verdict by the test,
said of it: dangerous, flagged or clean. corpora.py reads such folders.
"""

import functools
import hashlib
import importlib
import io
import json
import os
import shutil

OUT = os.environ.get("CAPTURE", "capture")
RANK = ("clean", "flagged", "dangerous")
labels, failed, current, depth = {}, set(), "", 0


def keep(name, content, label, why):
    """Copies a file, a directory or bytes, each content once."""
    if isinstance(content, str) and content.endswith(".manifest") and os.path.isfile(content):
        content = name = os.path.dirname(content)  # which names layers beside it
    if isinstance(content, bytes):
        digest = hashlib.sha256(content).hexdigest()[:12]
    elif os.path.isdir(content):
        inside = [os.path.join(r, f) for r, _, names in os.walk(content) for f in names]
        if not 0 < len(inside) < 200:
            return
        digest = hashlib.sha256("".join(map(str, sorted((os.path.relpath(f, content), os.path.getsize(f)) for f in inside if os.path.exists(f)))).encode()).hexdigest()[:12]
    elif os.path.isfile(content):
        with open(content, "rb") as f:
            digest = hashlib.file_digest(f, "sha256").hexdigest()[:12]
    else:
        return
    key = os.path.join(digest, os.path.basename(name) or "x")
    target = os.path.join(OUT, key)
    if key not in labels:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if isinstance(content, bytes):
            with open(target, "wb") as f:
                f.write(content)
        elif os.path.isdir(content):
            shutil.copytree(content, target, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copyfile(content, target)
        labels[key] = {"label": label, "test": current, "why": why}
    if RANK.index(label) > RANK.index(labels[key]["label"]):
        labels[key].update(label=label, why=why)


def wrap(module, name, label, content=lambda args, kwargs: args[0], called=lambda args, kwargs: os.fspath(args[0])):
    """Makes name of module keep what it is called with, if no other does."""
    try:
        owner = importlib.import_module(module)
    except ImportError:
        return
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part, None)
    original = getattr(owner, last, None)
    if original is None:
        return

    @functools.wraps(original)
    def wrapper(*args, **kwargs):
        global depth
        before = content(args, kwargs) if depth == 0 else None
        depth += 1
        try:
            result = original(*args, **kwargs)
        finally:
            depth -= 1
        try:
            verdict = label(result, args)
            if verdict and depth == 0 and not kwargs.get("strict"):  # which calls what is unknown dangerous
                keep(called(args, kwargs), before, verdict, reasons(result))
        except (OSError, AttributeError, TypeError, ValueError):
            pass  # not a file that can be kept
        return result

    setattr(owner, last, wrapper)


def reasons(result):
    """What modelaudit objects to, to tell apart what runs and what reads ill."""
    return sorted({i.message[:120] for i in getattr(result, "issues", ()) if "critical" in str(i.severity).lower()})[:4]


def of_bytes(args, kwargs):
    stream = args[0]
    at = stream.tell()
    data = stream.read()
    stream.seek(at)
    return data


def remember(module, name):
    """Makes what the class loads from bytes carry them: its dumps repairs frames."""
    try:
        owner = getattr(importlib.import_module(module), name)
    except ImportError:
        return
    original = owner.load

    def load(pickled, *args, **kwargs):
        parsed = original(pickled, *args, **kwargs)
        if isinstance(pickled, bytes):
            parsed.captured = parsed.dumps(), pickled
        return parsed

    owner.load = staticmethod(load)


def unrepaired(parsed):
    """The bytes that were loaded, if nothing was changed since."""
    now = parsed.dumps()
    before, loaded = getattr(parsed, "captured", (None, None))
    return loaded if now == before else now


def picklescan_label(result, args):
    return "dangerous" if result.infected_files else "clean" if not result.scan_err else None


def modelscan_label(result, args):
    found = args[0].issues.all_issues
    return "dangerous" if found else "clean" if not result["errors"] and result["summary"]["scanned"]["total_scanned"] else None


def fickling_label(result, args):
    name = getattr(result, "severity", result)
    name = getattr(name, "name", str(name))
    return {"LIKELY_SAFE": "clean", "LIKELY_OVERTLY_MALICIOUS": "dangerous", "OVERTLY_MALICIOUS": "dangerous"}.get(name, "flagged")


def modelaudit_label(result, args):
    found = {str(getattr(i.severity, "value", i.severity)).lower() for i in result.issues}
    return "dangerous" if "critical" in found else "flagged" if "warning" in found else "clean"


def pytest_configure(config):
    for name in ("scan_pickle_bytes", "scan_zip_bytes", "scan_numpy", "scan_pytorch"):
        wrap("picklescan.scanner", name, picklescan_label, of_bytes, lambda args, kwargs: args[1])
    wrap("picklescan.scanner", "scan_file_path", picklescan_label)
    second = lambda args, kwargs: os.fspath(args[1])
    wrap("modelscan.modelscan", "ModelScan.scan", modelscan_label, second, second)
    remember("fickling.fickle", "Pickled")
    dumped = lambda args, kwargs: unrepaired(args[0])
    wrap("fickling.analysis", "check_safety", fickling_label, dumped, lambda args, kwargs: "x.pkl")
    wrap("fickling", "is_likely_safe", lambda result, args: "clean" if result else "flagged")
    wrap("modelaudit.core", "scan_model_directory_or_file", modelaudit_label)
    wrap("modelaudit.core", "scan_file", modelaudit_label)
    try:
        scanners = importlib.import_module("modelaudit.scanners")
    except ImportError:
        return
    for info in getattr(scanners._registry, "_scanners", {}).values():
        wrap(info["module"], info["class"] + ".scan", modelaudit_label, second, second)


def pytest_runtest_setup(item):
    global current
    current = item.nodeid


def pytest_runtest_logreport(report):
    if report.failed:
        failed.add(report.nodeid)


def pytest_sessionfinish(session):
    os.makedirs(OUT, exist_ok=True)
    kept = {key: value for key, value in sorted(labels.items()) if value["test"] not in failed}
    with open(os.path.join(OUT, "labels.json"), "w", encoding="utf-8") as f:
        json.dump(kept, f, indent=1)
