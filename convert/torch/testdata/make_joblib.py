#!/usr/bin/env python3
"""Arrays as joblib until 0.9 saves them, in files beside the pickle; run with joblib 0.8.4 and 0.9.4 (Python 3.7, 2.7)

    python make_joblib.py FOLDER

writes FOLDER: a directory for each way, whose pickle is called model.pkl. Python 2 cannot run expect.py: there, it writes
the files alone, and `python make_joblib.py FOLDER expect` of a Python 3 says what was saved, for joblib does not
read files of the other Python.
"""
import os, shutil, sys

import joblib
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = sys.argv[1]


def arrays():
    d = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
         "big": np.arange(4, dtype=">i4"), "n": {"x": np.array([1, 2], np.float16)}, "text": "hello", "b": np.array([True, False])}
    d["again"] = d["w"]
    return d


WAYS = {"plain": {}, "packed": {"compress": 3, "cache_size": 0}, "packed_inside": {"compress": 3}}


def main():
    for way, kw in sorted(WAYS.items()):
        folder = os.path.join(HERE, FOLDER, way)
        if sys.argv[2:] != ["expect"]:
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            joblib.dump(arrays(), os.path.join(folder, "model.pkl"), **kw)
        if sys.version_info[0] > 2:
            import expect
            s = expect.Suite("make_joblib.py %s %s" % (FOLDER, way), FOLDER)
            name = way + "/model.pkl"
            got = arrays() if sys.argv[2:] == ["expect"] else joblib.load(s.path(name))
            s.expect(name, "pickle" if way == "packed_inside" else "joblib", got, alias=False, wrap="" if way == "plain" else "zlib")
            s.close()


if __name__ == "__main__":
    main()
