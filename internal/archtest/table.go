package archtest

import (
	"errors"
	"fmt"
	"strings"
)

// The tables are known by the words of their first and last columns.
const (
	packageColumn = "package"
	importColumn  = "may import (ours)"
	libraryColumn = "library"
	placeColumn   = "only in"
)

// tables are what the document says.
type tables struct {
	imports   map[string]allowance // by package
	libraries []library
}

// allowance is what of the module a package may import.
type allowance struct {
	any  bool
	dirs []string
}

// library is where a library may be imported.
type library struct {
	prefix string
	dirs   []string
}

// readTables reads both tables of the document.
func readTables(text string) (tables, error) {
	t := tables{imports: map[string]allowance{}}
	var columns []string
	for line := range strings.Lines(text) {
		cells, ok := row(line)
		switch {
		case !ok:
			columns = nil
			continue
		case columns == nil:
			columns = cells
			continue
		case strings.Trim(cells[0], "-: ") == "":
			continue
		}
		last := cells[len(cells)-1]
		switch first, end := columns[0], columns[len(columns)-1]; {
		case first == packageColumn && end == importColumn:
			if err := t.addPackages(names(cells[0]), last); err != nil {
				return t, err
			}
		case first == libraryColumn && end == placeColumn:
			for _, prefix := range names(cells[0]) {
				t.libraries = append(t.libraries, library{prefix, names(last)})
			}
		}
	}
	if len(t.imports) == 0 || len(t.libraries) == 0 {
		return t, errors.New("read " + Document + ": a table is missing")
	}
	return t, nil
}

func (t *tables) addPackages(dirs []string, last string) error {
	a := allowance{any: last == "any", dirs: names(last)}
	if !a.any && last != "none" && len(a.dirs) == 0 {
		return fmt.Errorf("read %s: row of %v: neither packages, nor none, nor any", Document, dirs)
	}
	for _, d := range dirs {
		if _, twice := t.imports[d]; twice {
			return fmt.Errorf("read %s: two rows of %s", Document, d)
		}
		t.imports[d] = a
	}
	return nil
}

// row splits a line of a table into its cells.
func row(line string) ([]string, bool) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") || len(line) < 3 {
		return nil, false
	}
	cells := strings.Split(line[1:len(line)-1], "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells, true
}

// names gives what stands between backquotes.
func names(cell string) []string {
	var out []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			out = append(out, part)
		}
	}
	return out
}
