"""Grades the C++ reader of MLX through its Python package: python python_mlx.py FILE

Exit 0 = every tensor loads, 1 = MLX raises an error, 3 = anything else. Needs
`mlx[cpu]` away from macOS. Tensors are evaluated, because MLX reads them only then.
"""

import sys

import mlx.core as mx

mx.set_default_device(mx.cpu)
try:
    tensors, metadata = mx.load(sys.argv[1], format="safetensors", return_metadata=True)
    mx.eval(list(tensors.values()))
except (RuntimeError, ValueError) as error:
    print(error, file=sys.stderr)
    sys.exit(1)
except BaseException as error:
    print(type(error), error, file=sys.stderr)
    sys.exit(3)
