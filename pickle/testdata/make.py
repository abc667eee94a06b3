"""Writes pickles.json.gz: pickles of all protocols, with what CPython makes of them.

    PYTHONHASHSEED=0 python3 testdata/make.py python2.7 python3-with-torch...

Each case holds the pickle, the trace of pickletools.genops (null where
pickletools refuses), the listing of pickletools.dis (null likewise), and the
value that CPython's own machine (pickle._Unpickler) builds when the opcodes
that import and call make inert nodes instead. Written with Python 3.11.7,
numpy 2.4 and joblib 1.6 installed; the cases of Python 2 come from Python
2.7.18, those of torch from Debian's 1.13 and from 2.15.
"""
import base64, collections, datetime, decimal, enum, gzip, io, json, os, pickle, pickletools
import random, struct, subprocess, sys
import _compat_pickle

HERE = os.path.dirname(os.path.abspath(__file__))


# --- the value, as text ---------------------------------------------------

class Py2Str(bytes):
    pass


class Sym:
    def __init__(self, module, name):
        self.module, self.name = module, name


class Node:
    def __init__(self, op, *parts):
        self.op, self.parts, self.states, self.items, self.pairs = op, parts, [], [], []

    def append(self, x):
        self.items.append(x)

    add = append

    def __setitem__(self, k, v):
        self.pairs.append((k, v))


class Machine(pickle._Unpickler):
    """CPython's machine, with nodes in place of imports and calls."""
    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module, name):
        if self.proto < 3:
            if (module, name) in _compat_pickle.NAME_MAPPING:
                module, name = _compat_pickle.NAME_MAPPING[(module, name)]
            elif module in _compat_pickle.IMPORT_MAPPING:
                module = _compat_pickle.IMPORT_MAPPING[module]
        return Sym(module, name)

    def _decode_string(self, value):
        return Py2Str(value)

    def persistent_load(self, pid):
        return Node('PERSID', pid)

    def get_extension(self, code):
        self.append(Node('EXT', code))

    def _instantiate(self, klass, args):
        self.append(Node('NEW', klass, tuple(args)))

    def load_reduce(self):
        args = self.stack.pop()
        self.stack[-1] = Node('REDUCE', self.stack[-1], args)
    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self):
        args = self.stack.pop()
        self.stack[-1] = Node('NEWOBJ', self.stack[-1], args)
    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_newobj_ex(self):
        kw = self.stack.pop()
        args = self.stack.pop()
        self.stack[-1] = Node('NEWOBJ_EX', self.stack[-1], args, kw)
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex

    def load_stack_global(self):
        # A str of Python 2 is text by now, where Python decodes it.
        for i in (-1, -2):
            if type(self.stack[i]) is Py2Str:
                self.stack[i] = self.stack[i].decode('ascii')
        super().load_stack_global()
    dispatch[pickle.STACK_GLOBAL[0]] = load_stack_global

    def load_build(self):
        state = self.stack.pop()
        self.stack[-1].states.append(state)
    dispatch[pickle.BUILD[0]] = load_build


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
    if t is Py2Str:
        return 's' + quoted(v)
    if t is bytes:
        return 'b' + quoted(v)
    if t is Sym:
        return '@%s.%s' % (v.module, v.name)
    if t is tuple and not v:
        return '()'
    label = ''
    if t is not frozenset:
        if id(v) in seen:
            return '*%d' % seen[id(v)]
        seen[id(v)] = len(seen)
        label = '&%d' % seen[id(v)]
    many = lambda xs: ', '.join(text(x, seen) for x in xs)
    pairs = lambda ps: ', '.join(text(k, seen) + ': ' + text(x, seen) for k, x in ps)
    if t is bytearray:
        return label + 'ba' + quoted(v)
    if t is list:
        return label + '[' + many(v) + ']'
    if t is tuple:
        return label + '(' + many(v) + ')'
    if t is dict:
        return label + '{' + pairs(v.items()) + '}'
    if t in (set, frozenset):
        return label + t.__name__ + '{' + ', '.join(sorted(text(x, seen) for x in v)) + '}'
    out = label + v.op + '<' + many(v.parts) + '>'
    for s in v.states:
        out += '!' + text(s, seen)
    if v.items:
        out += '+[' + many(v.items) + ']'
    if v.pairs:
        out += '+{' + pairs(v.pairs) + '}'
    return out


def operand(a):
    if isinstance(a, float):
        return 'f' + struct.pack('>d', a).hex()
    if isinstance(a, str):
        return 'u' + quoted(a.encode('utf-8', 'surrogatepass'))
    if isinstance(a, bytearray):
        return 'ba' + quoted(a)
    if isinstance(a, bytes):
        return 'b' + quoted(a)
    if isinstance(a, int) and not isinstance(a, bool) and abs(a) >= 1 << 64:
        return hex(a)
    return str(a)


cases = []


def case(name, data, in_c=False):
    try:
        ops = [[pos, op.name, operand(arg)] for op, arg, pos in pickletools.genops(data)]
    except Exception:
        ops = None
    dis = None
    if ops is not None:
        try:
            out = io.StringIO()
            pickletools.dis(data, out)
            dis = out.getvalue()
            if len(dis) > 4000:
                dis = None
        except Exception:
            pass
    # Where the two differ, the machine in C is the one that people run.
    machine = pickle.Unpickler if in_c else Machine
    f = io.BytesIO(data)
    v = text(machine(f).load(), {})
    stop = f.tell()
    cases.append({'name': name, 'pickle': base64.b64encode(data).decode(), 'end': stop,
                  'ops': ops and '\n'.join('%d %s %s' % tuple(o) for o in ops), 'dis': dis, 'value': v})


# --- values -----------------------------------------------------------------

Point = collections.namedtuple('Point', 'x y')


class Color(enum.Enum):
    RED = 1


class Plain:
    pass


class Slots:
    __slots__ = ('a', 'b')


class WithArgs:
    def __getnewargs__(self):
        return (1, 2)

    def __new__(cls, *a):
        return object.__new__(cls)


class WithKwargs(WithArgs):
    def __getnewargs_ex__(self):
        return (1,), {'k': [2]}


class ListKid(list):
    pass


class DictKid(dict):
    pass


class SetKid(set):
    pass


class WithPersid(pickle.Pickler):
    def persistent_id(self, obj):
        return 'id-1' if obj is Color else None


class WithBinPersid(pickle.Pickler):
    def persistent_id(self, obj):
        return ('storage', Point, '0', 'cpu', 4) if isinstance(obj, Plain) else None


def values():
    yield 'none-bools', [None, True, False]
    ints = [0, 1, -1, 127, 128, 255, 256, 65535, 65536, -128, -129, -32768]
    for e in (31, 32, 63, 64, 65, 127, 255, 1024, 2039, 2040, 2048):
        ints += [2 ** e - 1, 2 ** e, 2 ** e + 1, -2 ** e - 1, -2 ** e, -2 ** e + 1]
    yield 'ints', ints
    yield 'floats', [0.0, -0.0, 1.5, 0.1, 1e300, 5e-324, 1e16, 1e-5, 123456789.125, float('inf'), float('-inf'), 2 ** 53 + 2.0]
    yield 'texts', ['', 'a', "it's", '"both\' "', 'back\\slash', '\\u0041', 'new\nline', 'a\0b\r\x1a\t', 'é', 'ÿ', 'Ā', '€', '\U0001f600',
                    '\ud800', '\udc00\ud800', 'x' * 255, 'x' * 256, '\x7f\x80\x9f\xa0\xad', '\u200b\u3000']
    yield 'bytes', [b'', b'a', b'\0\xff\n', bytes(range(256)), b"'", b'"\'']
    yield 'bytearray', [bytearray(), bytearray(b'abc\0\xff')]
    yield 'lists', [[], [1], [[2]], list(range(1001))]
    yield 'tuples', [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), tuple(range(20)), ((),), ([],)]
    yield 'dicts', [{}, {'a': 1}, {1: 2, None: 3, (1, 2): 4, 1.5: 5, b'k': 6, 'n': {}}, {i: str(i) for i in range(300)}]
    yield 'sets', [set(), {1, 'a', (2,)}, frozenset(), frozenset({1, b'x'}), set(range(30))]
    shared = [1]
    yield 'shared', [shared, shared, (shared,), {'k': shared}, 'text', 'text']
    cycle = []
    cycle.append(cycle)
    yield 'cycle-list', cycle
    d = {}
    d['self'] = (d, [d])
    yield 'cycle-dict', d
    t = ([],)
    t[0].append(t)
    yield 'cycle-tuple', t
    t = (1, 2, 3, 4, [])
    t[4].append(t)
    yield 'cycle-tuple-5', t
    od = collections.OrderedDict([('w', 1), ('b', [2])])
    od._metadata = collections.OrderedDict([('', {'version': 1})])
    yield 'ordereddict', od
    yield 'collections', [collections.Counter('abca'), collections.defaultdict(list, {1: [2]}), collections.deque([1, 2], 3), Point(1, 2)]
    yield 'dates', [datetime.datetime(2026, 11, 22, 1, 2, 3, 4), datetime.date(1, 1, 1), datetime.timedelta(1, 2, 3), datetime.timezone.utc]
    yield 'numbers', [decimal.Decimal('1.10'), complex(1, -2), slice(1, 2), range(3)]
    yield 'names', [len, collections.OrderedDict, pickle.Pickler, map, io.BytesIO, ValueError, Color, Color.RED]
    p = Plain()
    p.x, p.me = 1, p
    s = Slots()
    s.a = 1
    w = WithArgs()
    w.z = 1
    k = ListKid([1, 2])
    k.attr = 3
    yield 'instances', [p, w, k, DictKid(a=1), SetKid([1])]
    if True:
        yield 'protocol2-instances', [s, WithKwargs(), k]
    deep = []
    for _ in range(60):
        deep = [deep]
    yield 'deep', deep


def build():
    rng = random.Random(1)
    for name, v in values():
        for proto in range(6):
            if name == 'protocol2-instances' and proto < 2:
                continue
            try:
                case('%s-p%d' % (name, proto), pickle.dumps(v, proto))
            except Exception as e:
                sys.stderr.write('%s-p%d: %r\n' % (name, proto, e))
                raise
            if proto in (0, 2, 4) and name in ('shared', 'dicts', 'instances'):
                case('%s-python-p%d' % (name, proto), pickle._dumps(v, proto))
    for proto in range(6):
        f = io.BytesIO()
        WithBinPersid(f, proto).dump([Plain(), Plain()]) if proto else WithPersid(f, 0).dump([Color, 1])
        case('persistent-p%d' % proto, f.getvalue())
    big = {'a%d' % i: (i, [float(i)], 'x' * (i % 50)) for i in range(500)}
    case('frames-p4', pickle.dumps([big, b'y' * 70000, 'z' * 66000], 4))
    case('optimized-p4', pickletools.optimize(pickle.dumps(big, 4)))
    mem = pickle.PickleBuffer(b'in band')
    case('picklebuffer-p5', pickle.dumps([mem, pickle.PickleBuffer(bytearray(b'rw'))], 5))

    # Forms no pickler writes and CPython reads.
    hand = {
        'int-line-forms': b'(I00\nI01\nI0\nI-5\nI+7\nI 3\nI007\nI0x1f\nI0o17\nI0b101\nI1_000\nI9223372036854775808\nl.',
        'long-line-forms': b'(L5L\nL5\nL-0x10L\nL 7 L\nL1_0L\nL00L\nl.',
        'float-line-forms': b'(F1\nF.5\nF1.\nF1E5\nF+2\nFinf\nF-Infinity\nF-1e-7\nl.',
        'string-escapes': b"(S'a\\x41\\101\\n\\t\\\\\\'\\q\\0'\nS\"dq\"\nS''\nl.",
        'unicode-escapes': b'(V\\u0041\\U0001f600\\\\u0042\\x\nV\nV\xe9\\\nl.',
        'memo-forms': b'(lp 0\n0g0\n0g000\n0(g0\nt.',
        'memo-sparse': b'\x80\x02]r\xff\xff\xff\x7fK\x01q\x050h\x05j\xff\xff\xff\x7f\x86.',
        'memo-overwrite': b'\x80\x04K\x01\x94K\x02q\x00h\x00\x86.',
        'memoize-after-pop': b'\x80\x04K\x01\x94K\x02\x940\x94h\x02.',
        'dup-self': b']2a.',
        'pop-mark': b'K\x01(K\x02K\x031.',
        'pop-on-mark': b'K\x01(0.',
        'leftover': b'K\x01K\x02.',
        'open-mark': b'(K\x01.',
        'two-protos': b'\x80\x02K\x01\x80\x04\x85.',
        'no-proto': b'\x8c\x02os\x8c\x04echo\x93.',
        'remap-by-last-proto': b'\x80\x02c__builtin__\neval\n\x80\x03c__builtin__\neval\n\x86.',
        'inst': b'(K\x01K\x02ios\nsystem\n.',
        'inst-no-args': b'(icommands\ngetoutput\n.',
        'obj': b'(cos\nsystem\nX\x04\x00\x00\x00echoo.',
        'newobj-ex': b'\x80\x04cos\nsystem\n)}\x8c\x01kK\x01s\x92.',
        'ext': b'\x80\x02(\x82\x01\x83\x00\x01\x84\x00\x00\x01\x00t.',
        'persid': b'Psome id\n.',
        'appends-nothing': b'K\x05(e.',
        'setitems-nothing': b'K\x05(u.',
        'set-list-item': b']K\x01aK\x00K\x02s.',
        'append-bytearray': b'\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00a(K\x62K\x63e.',
        'readonly-buffer': b'\x80\x05C\x01a\x98.',
        'long4': b'\x80\x02\x8b\x03\x00\x00\x00\x01\x00\x80\x8a\x00\x8a\x02\xff\xff\x87.',
        'binstrings': b'(T\x03\x00\x00\x00a\xffbU\x01\xc3U\x02\xc3\xa9t.',
        'stack-global-str': b"S'os'\nS'echo'\n\x93.",
    }
    for name, data in hand.items():
        case('hand-' + name, data, in_c=name in ('int-line-forms', 'long-line-forms', 'float-line-forms', 'memo-forms',
                                                    'appends-nothing', 'setitems-nothing'))

    try:
        import numpy as np
        for proto in range(6):
            case('numpy-p%d' % proto, pickle.dumps([np.arange(6, dtype='<f4').reshape(2, 3), np.float64(1.5), np.dtype('>i2'),
                                                    np.zeros(2, 'i4,f8'), np.asfortranarray(np.ones((2, 2))),
                                                    np.array(['x', None], dtype=object)], proto))
    except ImportError:
        sys.stderr.write('no numpy\n')
    try:
        import joblib
        f = io.BytesIO()
        joblib.dump({'a': np.arange(3.0), 'tail': 7}, f)
        cases.append({'name': 'joblib', 'pickle': base64.b64encode(f.getvalue()).decode(), 'end': len(f.getvalue())})
    except ImportError:
        sys.stderr.write('no joblib\n')

    # Random plain data.
    def rand(depth):
        r = rng.random()
        if depth and r < .45:
            n = rng.randrange(6)
            kind = rng.choice('ltdsf')
            if kind == 'd':
                return {rand(0): rand(depth - 1) for _ in range(n)}
            if kind in 'sf':
                return (set if kind == 's' else frozenset)(rand(0) for _ in range(n))
            xs = [rand(depth - 1) for _ in range(n)]
            return xs if kind == 'l' else tuple(xs)
        return rng.choice([None, True, rng.randrange(-300, 300), rng.getrandbits(rng.randrange(1, 90)) - (1 << 40), rng.random() * 10 ** rng.randrange(-20, 20),
                           ''.join(chr(rng.choice([65, 97, 10, 92, 233, 0x20ac, 0x1f600])) for _ in range(rng.randrange(8))),
                           bytes(rng.randrange(256) for _ in range(rng.randrange(8)))])
    for i in range(40):
        case('random-%02d' % i, pickle.dumps(rand(5), i % 6))


PY2 = r'''
import sys, json, base64, pickle, cPickle, collections, datetime, Queue, urllib2, StringIO, itertools
class Old:
    def __init__(self): self.x = 1
class OldArgs:
    def __getinitargs__(self): return (1, 'a')
class New(object):
    pass
class Slots(object):
    __slots__ = ('a',)
    def __getstate__(self): return (None, {'a': 1})
n = New(); n.u = u'\u20ac\U0001f600'; n.me = n
vs = {
 'strs': ['', 'abc', "it's", 'both\'"', '\x00\n\\\xe9\xff\x7f', u'', u'abc\n\\', u'\xe9\u20ac\U0001f600', 'x'*300],
 'numbers': [0, 1, True, False, -5, 2**31, 2**63, 5L, -2**70, 0.1, 1e100, float('inf')],
 'objects': [Old(), OldArgs(), n, Slots(), collections.OrderedDict([('a', 1)]), datetime.date(2020, 1, 2), set([1]), complex(1, 2)],
 'names': [reduce, xrange, unicode, itertools.imap, Queue.Queue, urllib2.urlopen, StringIO.StringIO, dict, Exception],
}
out = []
for name in sorted(vs):
    for p in range(3):
        for m in (pickle, cPickle):
            out.append(['py2-%s-%s-p%d' % (m.__name__, name, p), base64.b64encode(m.dumps(vs[name], p)).decode()])
print(json.dumps(out))
'''


TORCH = r'''
import io, json, base64, zipfile, torch
from collections import OrderedDict
tag = torch.__version__.split('+')[0]
torch.manual_seed(0)
w = torch.arange(6.).reshape(2, 3)
sd = OrderedDict(w=w, tied=w, t=w.t(), row=w[1], h=w.half(), b=w.bfloat16(), i=torch.tensor([1]), flag=torch.tensor(True),
                 p=torch.nn.Parameter(w), c=torch.tensor([1j]))
opt = torch.nn.Linear(2, 2)
o = torch.optim.Adam(opt.parameters())
opt(torch.ones(1, 2)).sum().backward()
o.step()
objs = {'state': sd, 'module': torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), 'optimizer': o.state_dict()}
out = []
for name, obj in sorted(objs.items()):
    for proto in (2, 4):
        f = io.BytesIO()
        torch.save(obj, f, pickle_protocol=proto)
        z = zipfile.ZipFile(f)
        out.append(['torch-%s-%s-p%d' % (tag, name, proto), base64.b64encode(z.read('archive/data.pkl')).decode()])
f = io.BytesIO()
torch.save(sd, f, _use_new_zipfile_serialization=False)
out.append(['torch-%s-legacy' % tag, base64.b64encode(f.getvalue()).decode()])
f = io.BytesIO()
torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), f)
z = zipfile.ZipFile(f)
for n in z.namelist():
    if n.endswith(('data.pkl', 'constants.pkl')):
        out.append(['torch-%s-jit-%s' % (tag, n.split('/')[-1]), base64.b64encode(z.read(n)).decode()])
print(json.dumps(out))
'''

if os.environ.get('PYTHONHASHSEED') != '0':
    sys.exit('set PYTHONHASHSEED=0, for the order of sets')
build()
for program, source in zip(sys.argv[1:], [PY2] + [TORCH] * len(sys.argv)):
    out = subprocess.check_output([program, '-c', source])
    for name, data in json.loads(out):
        case(name, base64.b64decode(data))
with open(os.path.join(HERE, 'pickles.json.gz'), 'wb') as f:
    with gzip.GzipFile('', 'wb', 9, f, 0) as z:
        z.write(('[\n' + ',\n'.join(json.dumps(c, sort_keys=True) for c in cases) + '\n]\n').encode())
sys.stderr.write('%d cases\n' % len(cases))
