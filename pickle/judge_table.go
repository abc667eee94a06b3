package pickle

import (
	"strings"
	"sync"
)

// The tables are made when a name is judged: most runs of a program judge none.

// allowedNames are the constructors that checkpoints need, all of which make
// plain data or tensors of their arguments and nothing else.
var allowedNames = sync.OnceValue(func() map[string]struct{} { return spread(allowedRows) })

var allowedRows = []row{
	{"collections", "OrderedDict defaultdict Counter deque"},
	{"builtins", "set frozenset bytearray complex dict list tuple int float str bytes bool slice range object"},
	{"_codecs", "encode"}, // of text, to bytes
	{"copyreg", "_reconstructor"},
	{"torch", `FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage CharStorage
		ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage ComplexHalfStorage
		QInt8Storage QUInt8Storage QInt32Storage QUInt4x2Storage QUInt2x4Storage
		Float8_e4m3fnStorage Float8_e5m2Storage Float8_e4m3fnuzStorage Float8_e5m2fnuzStorage
		UntypedStorage TypedStorage Size device Tensor
		FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor CharTensor ByteTensor BoolTensor
		float64 double float32 float float16 half bfloat16 int64 long int32 int int16 short int8 uint8 bool
		uint16 uint32 uint64 complex32 chalf bcomplex32 complex64 cfloat complex128 cdouble
		int1 int2 int3 int4 int5 int6 int7 uint1 uint2 uint3 uint4 uint5 uint6 uint7 bit
		float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2
		qint8 quint8 qint32 quint4x2 quint2x4 bits8 bits16 bits1x8 bits2x4 bits4x2
		per_tensor_affine per_channel_affine per_tensor_symmetric per_channel_symmetric per_channel_affine_float_qparams
		strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc
		contiguous_format channels_last channels_last_3d preserve_format`},
	{"torch.cuda", `FloatStorage DoubleStorage HalfStorage BFloat16Storage LongStorage IntStorage ShortStorage CharStorage
		ByteStorage BoolStorage ComplexFloatStorage ComplexDoubleStorage
		FloatTensor DoubleTensor HalfTensor BFloat16Tensor LongTensor IntTensor ShortTensor CharTensor ByteTensor BoolTensor`},
	{"torch.storage", "UntypedStorage TypedStorage _TypedStorage _UntypedStorage"},
	{"torch.nn.parameter", "Parameter Buffer UninitializedParameter UninitializedBuffer"},
	{"torch.serialization", "_get_layout"},
	{"torch._utils", `_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state
		_rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_meta_tensor_no_storage
		_rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor _rebuild_xla_tensor
		_rebuild_wrapper_subclass _rebuild_nested_tensor`},
	{"torch._tensor", "_rebuild_from_type_v2"},
	{"torch.tensor", "_rebuild_from_type_v2"}, // alias of 1.7 and 1.8
	{"torch.jit._pickle", "build_intlist build_tensorlist build_doublelist build_boollist build_tensor_from_id restore_type_tag"},
	// What .metadata of torch.distributed.checkpoint holds: data classes and
	// an enumeration, under the names of torch 2.3 to 2.15, of 2.0 to 2.2
	// (the properties in _shard), and of 1.13; and the directory it was
	// written to as a path, which is text with slashes: it opens nothing.
	{"torch.distributed.checkpoint.metadata", `Metadata TensorStorageMetadata BytesStorageMetadata TensorProperties
		ChunkStorageMetadata MetadataIndex StorageMeta _MEM_FORMAT_ENCODING`},
	{"torch.distributed.checkpoint.filesystem", "_StorageInfo"},
	{"torch.distributed._shard.sharded_tensor.metadata", "TensorProperties MEM_FORMAT_ENCODING"},
	{"torch.distributed._shard.checkpoint.metadata", `Metadata TensorStorageMetadata BytesStorageMetadata
		ChunkStorageMetadata MetadataIndex`},
	{"torch.distributed._shard.checkpoint.filesystem", "_StorageInfo"},
	{"pathlib", "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"},
	{"pathlib._local", "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"}, // Python 3.13
	{"numpy", `ndarray dtype bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64
		complex64 complex128 str_ bytes_`},
	// Numbers and types of elements that ml_dtypes adds to NumPy's, for arrays of JAX: made of a number
	// or of text, by C code that does no more (ml_dtypes/_src/custom_float.h, intn_numpy.h).
	{"ml_dtypes", `bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz
		float8_e8m0fnu float6_e2m3fn float6_e3m2fn float4_e2m1fn int1 int2 int4 uint1 uint2 uint4`},
	{"numpy.core.multiarray", "_reconstruct scalar"},
	{"numpy._core.multiarray", "_reconstruct scalar"},
	{"numpy.core.numeric", "_frombuffer"},
	{"numpy._core.numeric", "_frombuffer"},
	{"joblib.numpy_pickle", "NumpyArrayWrapper"},
}

// dataNames are known to hold data, and stand in modules that also hold what
// is dangerous or whose names in general are unknown. Why is said beside each.
var dataNames = map[string]string{
	"torch.storage._load_from_bytes":                                   "opens a checkpoint within the pickle",
	"argparse.Namespace":                                               "settings of a program",
	"dill._dill._create_array":                                         "an array, and the function that makes it",
	"types.SimpleNamespace":                                            "settings of a program",
	"uuid.UUID":                                                        "an identifier",
	"uuid.SafeUUID":                                                    "an identifier",
	"numpy.random._pickle.__randomstate_ctor":                          "a generator of random numbers",
	"numpy.random._pickle.__generator_ctor":                            "a generator of random numbers",
	"numpy.random._pickle.__bit_generator_ctor":                        "a generator of random numbers",
	"torch._C._nn.gelu":                                                "an activation function",
	"torch._C._nn.silu":                                                "an activation function",
	"torch.utils.hooks.RemovableHandle":                                "a handle of a hook of a module",
	"joblib.numpy_pickle.NDArrayWrapper":                               "an array in another file",
	"joblib.numpy_pickle.ZNDArrayWrapper":                              "an array in another file",
	"joblib.numpy_pickle_compat.NDArrayWrapper":                        "an array in another file",
	"torch.distributed.fsdp.fully_sharded_data_parallel.StateDictType": "a setting of training",
}

// dataModules hold classes that programs keep beside their weights. They are
// no more than known: Suspicious.
var dataModules = []struct{ module, why string }{
	{"datetime", "a date"},
	{"decimal", "a number"},
	{"fractions", "a number"},
	{"enum", "an enumeration"},
	{"omegaconf", "settings of a program"},
	{"torch.nn.modules", "a module of torch, saved whole"},
	{"torch.optim", "an optimizer of torch"},
	{"__torch__", "a class of TorchScript, whose code is in the archive"},
	{"transformers", "a class of transformers"},
	{"deepspeed", "a class of DeepSpeed"},
	{"pytorch_lightning", "a class of Lightning"},
	{"lightning", "a class of Lightning"},
	{"lightning_fabric", "a class of Lightning"},
	{"fairseq", "a class of fairseq"},
	{"megatron", "a class of Megatron"},
	{"ultralytics", "a class of Ultralytics"},
	{"sklearn", "a class of scikit-learn"},
	{"xgboost", "a class of XGBoost"},
	{"torchvision", "a class of torchvision"},
}

// coreModules are dangerous as a bare attribute of any module, too. Their
// names are used for nothing else.
var coreModules = sync.OnceValue(func() map[string]struct{} { return namesOf("", coreNames) })

const coreNames = `os nt posix posixpath ntpath sys subprocess builtins __builtin__ __builtins__ importlib
	runpy socket shutil ctypes pty marshal pickle cPickle _pickle threading multiprocessing commands popen2
	eval exec execfile __import__ compile system popen getattr setattr`

// dangerous maps modules, with all below them, and names to why they are: what
// runs code or programs, imports, reads or writes files, or talks to others.
var dangerous = sync.OnceValue(func() *reasonTable { return reasons(dangerousRows) })

var dangerousRows = []row{
	{"runs programs", `os nt posix subprocess commands popen2 pty _posixsubprocess multiprocessing _winapi _winreg winreg
		pexpect sh plumbum fabric paramiko invoke platform
		posixpath ntpath os.path msvcrt asyncio concurrent.futures idlelib _pyrepl
		psutil pipes anyio.run_process anyio.open_process turtledemo triton.runtime.build click.edit asyncore asynchat`},
	{"runs code", `builtins.eval builtins.exec builtins.execfile builtins.compile builtins.breakpoint builtins.input
		builtins.exit builtins.quit builtins.help builtins.map builtins.filter
		__builtin__.eval __builtin__.exec __builtin__.execfile __builtin__.compile __builtin__.input __builtin__.raw_input
		__builtin__.apply __builtin__.breakpoint __builtin__.exit __builtin__.quit builtins.apply builtins.raw_input
		runpy code codeop bdb pdb cProfile profile trace timeit doctest lib2to3 IPython
		types.CodeType types.FunctionType types.LambdaType types.MethodType types.ModuleType
		new.function new.code new.instancemethod marshal _interpreters _xxsubinterpreters test.support unittest
		signal atexit threading _thread thread sched ctypes _ctypes cffi gc inspect sys dis ast symtable
		site sitecustomize usercustomize py_compile compileall distutils setuptools pkg_resources ensurepip pip venv
		_osx_support _aix_support _bootsubprocess sysconfig tkinter turtle antigravity this
		sympy.core.sympify numexpr pandas.eval pandas.core.computation numpy.testing numpy.f2py numpy.distutils
		numpy.core._internal.eval numpy.lib.npyio.DataSource scipy.weave
		torch.hub torch.compile torch.jit torch.package torch._dynamo torch._inductor torch.fx torch.ops
		torch._ops torch.classes torch.utils torch.distributed.rpc torch.distributed.run torch.distributed.launch
		torch.distributed.elastic torch.multiprocessing torch.cuda._compile torch._C torch.library torch.export
		torch.testing torch._export torch.onnx torch.profiler torch.autograd.profiler torch.func
		tensorflow keras mlflow jax.experimental.host_callback
		rlcompleter pstats zipapp modulefinder pyclbr tabnanny faulthandler resource _signal syslog fcntl termios readline
		jinja2 numpy.ctypeslib numpy.ma.testutils torch._sources torch._classes torch._weights_only_unpickler
		transformers.pipeline transformers.dynamic_module_utils
		__builtins__ picklescan modelscan fickling modelaudit saferpickle model_unpickler`},
	{"reaches other names", `builtins.getattr builtins.setattr builtins.delattr builtins.globals builtins.locals builtins.vars
		builtins.type builtins.super builtins.dir builtins.memoryview builtins.property builtins.classmethod
		__builtin__.getattr __builtin__.setattr __builtin__.delattr __builtin__.globals __builtin__.locals __builtin__.vars
		operator.attrgetter operator.methodcaller operator.itemgetter
		_operator.attrgetter _operator.methodcaller _operator.itemgetter
		functools.partial functools.partialmethod functools.reduce _functools.partial _functools.reduce
		functools.singledispatch functools.cached_property itertools.starmap
		pkgutil pydoc copyreg.add_extension copyreg.remove_extension
		copyreg.clear_extension_cache copyreg._extension_registry copyreg._inverted_registry copyreg._extension_cache
		copyreg.dispatch_table copyreg.pickle copyreg.constructor numpy.__builtins__`},
	{"imports", `torch._utils._import_dotted_name builtins.__import__ __builtin__.__import__ builtins.reload __builtin__.reload importlib imp _imp
		_frozen_importlib _frozen_importlib_external zipimport`},
	{"opens files", `builtins.open __builtin__.open __builtin__.file io _io _pyio codecs.open codecs.EncodedFile
		codecs.StreamReaderWriter pathlib shutil tempfile linecache fileinput tokenize.open glob fnmatch filecmp
		zipfile tarfile gzip bz2 lzma sqlite3 _sqlite3 dbm shelve mmap mailbox netrc
		logging configparser csv.reader plistlib nntplib mimetypes wave aifc sunau xml getpass numpy.load numpy.save numpy.savez numpy.savetxt numpy.loadtxt
		numpy.genfromtxt numpy.fromfile numpy.memmap numpy.lib.npyio numpy.lib.format numpy.core.memmap
		pandas.read_pickle pandas.read_csv pandas.io torch.save torch.from_file torch.serialization
		joblib.dump joblib.memory joblib.Memory joblib.disk joblib._store_backends joblib.numpy_pickle_utils joblib.compressor
		from_file numpy.savez_compressed numpy.DataSource numpy.fromregex numpy.lib._datasource numpy.lib._npyio_impl numpy.lib._format_impl
		numpy.core.records.fromfile numpy._core.records.fromfile numpy.rec.fromfile numpy._core.memmap numpy._core.multiarray.fromfile
		pandas.ExcelWriter pandas.HDFStore pandas.compat.pickle_compat scipy.io scipy.datasets
		sklearn.datasets sklearn.externals.joblib.load sklearn.externals.joblib.dump _dbm _gdbm uu contextlib.chdir fsspec filelock
		safetensors.torch.save_file safetensors.numpy.save_file omegaconf.OmegaConf.load omegaconf.OmegaConf.save
		torch.distributed.checkpoint.filesystem.FileSystem torch.distributed.checkpoint.filesystem.FileSystemReader
		torch.distributed.checkpoint.filesystem.FileSystemWriter torch.distributed.checkpoint.format_utils
		torch.distributed.checkpoint.FileSystemReader torch.distributed.checkpoint.FileSystemWriter torch.distributed.FileStore`},
	{"unpickles", `pickle _pickle cPickle dill cloudpickle joblib.load joblib.numpy_pickle joblib.externals jsonpickle
		torch.load torch.storage._load_from_bytes torch.serialization.load yaml ruamel.yaml pandas.read_hdf
		numpy.core.multiarray.fromfile`},
	{"talks to other machines", `socket _socket ssl _ssl urllib urllib2 http httplib smtplib imaplib poplib ftplib telnetlib
		webbrowser requests urllib3 httpx aiohttp socketserver SocketServer xmlrpc xmlrpclib uuid smtpd cgi cgitb
		wsgiref httpx2 torch.distributed.TCPStore from_pretrained transformers.utils.hub huggingface_hub boto3 botocore select selectors`},
}

// A row is a list of words under a heading.
type row struct{ head, words string }

// spread makes full names of modules and their names.
func spread(rows []row) map[string]struct{} {
	set := make(map[string]struct{})
	for _, r := range rows {
		for name := range namesOf(r.head+".", r.words) {
			set[name] = struct{}{}
		}
	}
	return set
}

func namesOf(prefix, words string) map[string]struct{} {
	set := make(map[string]struct{})
	for _, word := range strings.Fields(words) {
		set[prefix+word] = struct{}{}
	}
	return set
}

func reasons(rows []row) *reasonTable {
	table := &reasonTable{why: make(map[string]string), first: make(map[string]struct{})}
	for _, r := range rows {
		for _, word := range strings.Fields(r.words) {
			first, _, _ := strings.Cut(word, ".")
			table.why[word], table.first[first] = r.head, struct{}{}
			table.longest = max(table.longest, len(word))
		}
	}
	return table
}
