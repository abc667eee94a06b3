"""Shows that a pickle reaches its payload, without running it.

The C unpickler of this Python reads the pickle, but every name that it looks
up becomes a class of ours that records its calls. What Python itself would
refuse before it came to the payload is thereby found out.
"""

import io
import pickle


def calls(raw):
    """The names that loading raw would call, or change, as far as it comes."""
    seen = []

    class Recorder(type):
        def __setattr__(cls, name, value):
            seen.append(cls.__name__ + "." + name)

    class Inert(metaclass=Recorder):
        def __new__(cls, *args, **kwargs):
            seen.append(cls.__name__)
            return object.__new__(cls)

        def __init__(self, *args, **kwargs):
            pass

        def __setstate__(self, state):
            pass

        def append(self, item):
            pass

        def extend(self, items):
            pass

        def __setitem__(self, key, value):
            pass

        def __call__(self, *args, **kwargs):
            seen.append("call")
            return self

    class Loader(pickle.Unpickler):
        def find_class(self, module, name):
            return Recorder("%s.%s" % (module, name), (Inert,), {})

        def persistent_load(self, pid):
            return pid

    try:
        Loader(io.BytesIO(raw)).load()
    except Exception:  # broken after firing is as good
        pass
    return seen
