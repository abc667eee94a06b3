"""Writes mutants.json.gz: broken pickles, and what CPython's C machine says.

    python3 testdata/mutate.py

Each case is [pickle, value]: null where the machine refuses, else the value
as make.py writes it (a str of Python 2 read as Latin-1). Left out is what
would import, call or need the loader; sets, whose order is not the file's;
frames, of which 3.11 takes no notice; and READONLY_BUFFER.
Written with Python 3.11.7.
"""
import base64, gzip, io, json, os, pickle, random, resource, struct

HERE = os.path.dirname(os.path.abspath(__file__))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


class Skip(Exception):
    pass


class Machine(pickle.Unpickler):
    def find_class(self, module, name):
        raise Skip

    def persistent_load(self, pid):
        raise Skip


def quoted(data):
    return '"' + ''.join(chr(c) if 32 <= c <= 126 and c not in b'"\\' else '\\x%02x' % c for c in data) + '"'


def text(v, seen):
    if v is None or v is True or v is False:
        return str(v)
    t = type(v)
    if t is int:
        return str(v) if abs(v) < 1 << 64 else hex(v)
    if t is float:
        return 'f' + struct.pack('>d', v).hex()
    if t is str:
        return 'u' + quoted(v.encode('utf-8', 'surrogatepass'))
    if t is bytes:
        return 'b' + quoted(v)
    if t is tuple and not v:
        return '()'
    if id(v) in seen:
        return '*%d' % seen[id(v)]
    seen[id(v)] = len(seen)
    label = '&%d' % seen[id(v)]
    many = lambda xs: ', '.join(text(x, seen) for x in xs)
    if t is bytearray:
        return label + 'ba' + quoted(v)
    if t is list:
        return label + '[' + many(v) + ']'
    if t is tuple:
        return label + '(' + many(v) + ')'
    if t is dict:
        return label + '{' + ', '.join(text(k, seen) + ': ' + text(x, seen) for k, x in v.items()) + '}'
    raise Skip


rng = random.Random(2)
shared = ['x']
cycle = {}
cycle['me'] = [cycle]
values = [
    [0, 1, -1, 255, 65535, -70000, 2 ** 31, 2 ** 63, -2 ** 64, 2 ** 70],
    [1.5, -0.0, 1e300, 5e-324, float('inf')],
    ['', 'abc', 'é€\U0001f600', "it's \\ \n", 'x' * 20],
    [b'', b'ab\xff', bytearray(b'cd')],
    [[], [[1], [2]], (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
    [{}, {'a': 1, 'b': {2: None}}, True, False, None],
    [shared, shared, (shared, shared)],
    cycle,
]
bases = [pickle.dumps(v, p).replace(b'\x95' + struct.pack('<Q', len(pickle.dumps(v, p)) - 11), b'') for v in values
         for p in range(6) if not (p < 3 and any(type(x) in (bytes, bytearray) for x in v))]
bases += [b"(S'a\\x41\\101\\n'\nS\"b\"\nT\x02\x00\x00\x00\xffaU\x01bl.", b'(I0x10\nI010\nI1_0\nI01\nL5L\nL-0o7L\nF1.5\nl.',
          b'](K\x01K\x02eK\x00K\x05s0}K\x01K\x02s.', b'(K\x01(K\x02t1)0]2a.', b'K\x01p0\n0g0\n(h\x00q\x05g5\nt.', b'\x80\x02\x8a\x03\x01\x02\x80\x8b\x02\x00\x00\x00\x00\x80\x86.',
          b'V\\u0041\\U0001f600\\x\n.', b']K\x01a]b.', b'}}b.', b'\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a(K\x01K\x02e.']
codes = [c for c in b'().012BCFGIJKLMNSTUVX]abdeghlpqstu}\x80\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x94\x96']
chars = b"0123456789-+ xXoOL_.eEnN'\"\\u\n\x00\t\x7f\xff"


def mutate(data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at] = rng.choice(codes)
        elif kind == 2:
            data.insert(at, rng.choice(codes))
        elif kind == 3:
            data.insert(at, rng.choice(chars))
        elif kind == 4:
            del data[at:at + rng.randrange(1, 3)]
        else:
            data[at] = rng.choice(chars)
        if not data:
            break
    return bytes(data)


cases, seen, accepted = [], set(), 0
while len(cases) < 6000:
    data = mutate(rng.choice(bases))
    if data in seen or not data or any(c in data for c in b'r\x8f\x90\x91\x95\x97\x98'):
        continue
    seen.add(data)
    try:
        value = Machine(io.BytesIO(data), encoding='latin1').load()
        value = text(value, {})
        accepted += 1
    except (Skip, MemoryError, RecursionError):
        continue
    except Exception as e:
        if 'extension' in str(e) or 'persistent' in str(e) or 'not callable' in str(e):
            continue
        if accepted < len(cases) - accepted:
            continue # keep as many that pass
        value = None
    cases.append([base64.b64encode(data).decode(), value])
with open(os.path.join(HERE, 'mutants.json.gz'), 'wb') as f:
    with gzip.GzipFile('', 'wb', 9, f, 0) as z:
        z.write(('[\n' + ',\n'.join(json.dumps(c) for c in cases) + '\n]\n').encode())
print(len(cases), accepted)
