package pickle

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	tests := []struct {
		module, name string
		want         Verdict
	}{
		{"collections", "OrderedDict", Allowed},
		{"torch._utils", "_rebuild_tensor_v2", Allowed},
		{"torch", "FloatStorage", Allowed},
		{"torch.cuda", "HalfStorage", Allowed},
		{"numpy.dtypes", "Float32DType", Allowed},
		{"ml_dtypes", "bfloat16", Allowed},
		{"ml_dtypes", "finfo", Suspicious},
		{"numpy._core.multiarray", "_reconstruct", Allowed},
		{"torch.jit._pickle", "build_intlist", Allowed},
		{"_codecs", "encode", Allowed},

		{"torch._utils", "torch.channels_last", Allowed}, // as pickle names it
		{"torch.hub", "torch.channels_last", Dangerous},
		{"mycode", "torch.channels_last", Suspicious},
		{"torch._utils", "torch.load", Dangerous},
		{"torch.utils.hooks", "RemovableHandle", Suspicious},
		{"torch.utils.hooks", "RemovableHandle.remove", Dangerous},
		{"argparse", "Namespace", Suspicious},
		{"pathlib", "PosixPath", Allowed},
		{"pathlib._local", "PosixPath", Allowed},
		{"pathlib._local", "PosixPath.unlink", Dangerous},
		{"pathlib", "PosixPath.__class__", Dangerous},
		{"torch.distributed._shard.sharded_tensor.metadata", "MEM_FORMAT_ENCODING", Allowed},
		{"torch.distributed._shard.checkpoint.metadata", "Metadata", Allowed},
		{"torch.distributed._shard.checkpoint.metadata", "torch", Suspicious},
		{"uuid", "UUID", Suspicious},
		{"torch.storage", "_load_from_bytes", Suspicious},
		{"torch.nn.modules.conv", "Conv2d", Suspicious},
		{"mycode", "Net", Suspicious},
		{"__torch__.mycode", "Net", Suspicious},
		{"osmium", "Reader", Suspicious}, // not below os
		{"builtins", "print", Suspicious},
		{"numpy.random._pickle", "__randomstate_ctor", Suspicious},
		{"numpy.random.bit_generator", "__pyx_unpickle_SeedSequence", Suspicious},
		{"numpy.random.bit_generator", "__pyx_unpickle_SeedSequence.__globals__", Dangerous},
		{"os", "__pyx_unpickle_X", Dangerous},
		{"collections", "OrderedDict.fromkeys", Suspicious}, // below an allowed name, not allowed

		{"os", "system", Dangerous},
		{"os.path", "join", Dangerous},
		{"posix", "system", Dangerous},
		{"subprocess", "Popen", Dangerous},
		{"builtins", "eval", Dangerous},
		{"builtins", "getattr", Dangerous},
		{"builtins", "eval.__call__", Dangerous},
		{"pathlib", "os.system", Dangerous},
		{"torch.serialization", "os.system", Dangerous},
		{"torch.serialization", "os", Dangerous},
		{"torch._utils", "_rebuild_tensor_v2.__globals__", Dangerous},
		{"numpy", "__builtins__", Dangerous},
		{"numpy.testing._private.utils", "runstring", Dangerous},
		{"torch.hub", "load", Dangerous},
		{"torch", "load", Dangerous},
		{"torch", "hub.load", Dangerous},
		{"pkgutil", "resolve_name", Dangerous},
		{"copyreg", "add_extension", Dangerous},
		{"functools", "partial", Dangerous},
		{"pathlib", "Path.unlink", Dangerous},
		{"uuid", "_get_command_stdout", Dangerous},
		{"importlib", "import_module", Dangerous},
		{"asyncio.unix_events", "_UnixSubprocessTransport._start", Dangerous},
		{"mycode", "helper.os.system", Dangerous},
		{"", "", Suspicious},
		{"", "os.system", Dangerous},
	}
	for _, tt := range tests {
		got, why := Judge(&Symbol{Module: tt.module, Name: tt.name, WrittenModule: tt.module, WrittenName: tt.name})
		if got != tt.want || why == "" {
			t.Errorf("%s %s: %v (%s), want %v", tt.module, tt.name, got, why, tt.want)
		}
	}
	if v, _ := Judge(&Symbol{Module: "collections", Computed: true}); v != Dangerous {
		t.Errorf("a computed name is %v", v)
	}
}

// TestJudgeGadgets holds names that published attacks on loaders of pickles
// use.
func TestJudgeGadgets(t *testing.T) {
	for _, name := range strings.Fields(`os.system posix.popen nt.system subprocess.run pty.spawn builtins.exec builtins.compile
		builtins.open builtins.__import__ builtins.setattr builtins.globals builtins.breakpoint runpy.run_path
		code.InteractiveInterpreter codeop.compile_command importlib.import_module marshal.loads types.CodeType
		types.FunctionType operator.attrgetter operator.methodcaller operator.itemgetter functools.partial functools.reduce
		pkgutil.resolve_name pydoc.locate pydoc.pipepager pip.main ensurepip.bootstrap venv.create bdb.Bdb pdb.run
		cProfile.run profile.run trace.Trace timeit.timeit doctest.debug_script idlelib.pyshell.ModifiedInterpreter
		lib2to3.pgen2.grammar.Grammar asyncio.create_subprocess_shell ctypes.CDLL socket.socket ssl.get_server_certificate
		urllib.request.urlopen http.client.HTTPConnection smtplib.SMTP imaplib.IMAP4_stream ftplib.FTP telnetlib.Telnet
		webbrowser.open requests.get aiohttp.ClientSession uuid._get_command_stdout _osx_support._read_output
		_aix_support._read_cmd_output _pyrepl.pager.pipe_pager test.support.script_helper.assert_python_ok
		multiprocessing.util.spawnv_passfds _posixsubprocess.fork_exec _interpreters.run_string shutil.rmtree
		tempfile.mktemp linecache.getline fileinput.input logging.config.listen sqlite3.connect zipimport.zipimporter
		imp.load_source distutils.file_util.write_file io.open _io.open codecs.open pathlib.Path.write_text glob.glob
		threading.Thread signal.signal atexit.register gc.get_objects inspect.getattr_static unittest.mock._importer
		site.main py_compile.compile shelve.open pickle.loads dill.loads cloudpickle.loads joblib.load numpy.load
		numpy.testing._private.utils.runstring numpy.f2py.crackfortran.getlincoef numpy.distutils.exec_command.exec_command
		pandas.read_pickle torch.load torch.hub.load torch.jit.load torch.package.PackageImporter torch.compile
		torch._dynamo.guards.GuardBuilder.get torch._inductor.codecache.compile_file torch.fx.Graph torch.ops.load_library
		torch.utils.cpp_extension.load torch.distributed.rpc.rpc_sync mlflow.pyfunc.load_model keras.models.load_model
		setuptools.sandbox.run_setup pexpect.run picklescan.scanner.scan_file_path commands.getoutput sys.exit`) {
		module, last := cut(name)
		if got, why := Judge(&Symbol{Module: module, Name: last, WrittenModule: module, WrittenName: last}); got != Dangerous {
			t.Errorf("%s: %v (%s)", name, got, why)
		}
	}
}

// cut cuts at the last dot.
func cut(name string) (module, last string) {
	i := strings.LastIndexByte(name, '.')
	return name[:i], name[i+1:]
}

func TestJudgeRenamed(t *testing.T) {
	for text, want := range map[string]Verdict{
		"\x80\x02c__builtin__\nset\n.":         Allowed,
		"\x80\x02c__builtin__\neval\n.":        Dangerous,
		"\x80\x02ccommands\ngetoutput\n.":      Dangerous,
		"\x80\x02ccopy_reg\n_reconstructor\n.": Allowed,
		"\x80\x04c__builtin__\nset\n.":         Suspicious, // Python 3 knows no such module
	} {
		v, err := Unmarshal([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got, why := Judge(v.(*Symbol)); got != want {
			t.Errorf("%q: %v (%s), want %v", text, got, why, want)
		}
	}
}

func TestEnumMember(t *testing.T) {
	for text, want := range map[string]bool{
		"\x80\x04cbuiltins\ngetattr\ncmycode\nMode\n\x8c\x04FAST\x86R.":     true,
		"\x80\x04cbuiltins\ngetattr\ncmycode\nMode\n\x8c\x08__dict__\x86R.": false,
		"\x80\x04cbuiltins\ngetattr\ncos\nMode\n\x8c\x06system\x86R.":       false,
		"\x80\x04cbuiltins\ngetattr\ncmycode\nos\n\x8c\x06system\x86R.":     false,
		"\x80\x04cbuiltins\ngetattr\n\x8c\x02os\x8c\x06system\x86R.":        false,
		"\x80\x04cmycode\nMode\n\x8c\x04FAST\x85R.":                         false,
	} {
		v, err := Unmarshal([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := EnumMember(v.(*Object)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
