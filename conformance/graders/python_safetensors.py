"""Grades the Python package `safetensors`: python python_safetensors.py FILE

Exit 0 = the file opens, 1 = SafetensorError, 3 = anything else, for which
Python's own exit status would be 1, too. Tensors are not fetched: NumPy lacks
several of the dtypes, which says nothing about the file.
"""

import sys

from safetensors import SafetensorError, safe_open

try:
    with safe_open(sys.argv[1], framework="numpy") as file:
        file.keys()
        file.metadata()
except SafetensorError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
except BaseException as error:  # a panic of the Rust code is no Exception
    print(type(error), error, file=sys.stderr)
    sys.exit(3)
