package pickle

//go:generate sh -c "python3 testdata/renames.py > renames_table.go && gofmt -w renames_table.go"

// qualified is a name in a module.
type qualified struct{ module, name string }

// renamed maps a name of Python 2 to that of Python 3, as Unpickler.find_class
// does with fix_imports for protocols below 3. A renamed name is not looked
// up among the modules again.
func renamed(module, name string) (string, string) {
	if to, ok := renamedNames[qualified{module, name}]; ok {
		return to.module, to.name
	}
	if to, ok := renamedModules[module]; ok {
		module = to
	}
	return module, name
}
