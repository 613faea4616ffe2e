package warninglist

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Limits of what is loaded. MISP's own repository has about 120 lists; the
// largest hold a million names in some 25 MB.
const (
	MaxLists       = 1_000
	MaxFileBytes   = 64 << 20
	MaxEntries     = 5_000_000 // in all lists
	MaxEntryBytes  = 4_096
	MaxSubstrings  = 100_000 // in all lists
	MaxExpressions = 1_000   // in all lists; each is tried on each value
	MaxExpression  = 1_000   // bytes
	MaxFaults      = 100     // that are told; the rest is counted
	maxDepth       = 3       // folders below the one given
	maxNameBytes   = 256
)

// FileName is what a list's file is called.
const FileName = "list.json"

// Fault is something that was left out.
type Fault struct {
	File  string // below the folder
	Field string // "list[3]", "type"; "" for the whole file
	Text  string
	Count int // further entries of the same field left out for the same reason
}

func (f Fault) String() string {
	s := f.File
	if f.Field != "" {
		s += ": " + f.Field
	}
	s += ": " + f.Text
	if f.Count > 0 {
		s += fmt.Sprintf(" (and %d more)", f.Count)
	}
	return s
}

// file is a list.json. Its further members are ignored.
type file struct {
	Name       string         `json:"name"`
	Version    int            `json:"version"`
	Type       jsontext.Value `json:"type"` // a string; in old files a list of one
	Category   string         `json:"category"`
	Attributes []string       `json:"matching_attributes"`
	List       jsontext.Value `json:"list"` // strings, or an object of value to comment
}

// Load reads all lists in a folder and below. The error is for a folder that
// cannot be read, or that breaks a limit as a whole; then there is no Set.
func Load(fsys fs.FS) (*Set, []Fault, error) {
	names, err := find(fsys)
	if err != nil {
		return nil, nil, err
	}
	c := newCompiler()
	for _, name := range names {
		f, err := readFile(fsys, name)
		if err != nil {
			c.fault(name, "", err.Error())
			continue
		}
		if err := c.add(name, f); err != nil {
			return nil, nil, err
		}
	}
	return c.set, c.told(), nil
}

// find gives the paths of all lists, in order.
func find(fsys fs.FS) ([]string, error) {
	var names []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || strings.Count(name, "/") >= maxDepth):
			return fs.SkipDir
		case d.IsDir() || d.Name() != FileName:
			return nil
		case len(names) == MaxLists:
			return fmt.Errorf("more than %d lists", MaxLists)
		}
		names = append(names, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read warninglists: %w", err)
	}
	return names, nil
}

// readFile decodes one file. Its bytes are bounded before they are decoded.
func readFile(fsys fs.FS, name string) (*file, error) {
	r, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer r.Close()
	if info, err := r.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(r, MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("more than %d bytes", MaxFileBytes)
	}
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		var s *json.SemanticError
		if errors.As(err, &s) && s.JSONPointer != "" {
			return nil, fmt.Errorf("%s: %s where another kind of value is wanted", strings.ReplaceAll(string(s.JSONPointer)[1:], "/", "."), kind(s.JSONKind))
		}
		return nil, err
	}
	return &f, nil
}

func kind(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return k.String()
}

// kindOf reads a list's type. MISP takes a missing one for string, and of
// several the first.
func (f *file) kindOf() (string, error) {
	typ := "string"
	switch {
	case len(f.Type) == 0 || f.Type.Kind() == 'n':
	case f.Type.Kind() == '"':
		if err := json.Unmarshal(f.Type, &typ); err != nil {
			return "", err
		}
	default:
		var several []string
		if err := json.Unmarshal(f.Type, &several); err != nil || len(several) == 0 {
			return "", errors.New("neither a string nor a list of strings")
		}
		typ = several[0]
	}
	if !slices.Contains([]string{"string", "substring", "hostname", "cidr", "regex"}, typ) {
		return "", fmt.Errorf("%.64q, want string, substring, hostname, cidr or regex", typ)
	}
	return typ, nil
}

// entries gives what a list holds.
func (f *file) entries() ([]string, error) {
	switch f.List.Kind() {
	case '[':
		var list []string
		if err := json.Unmarshal(f.List, &list); err != nil {
			return nil, errors.New("holds something that is no string")
		}
		return list, nil
	case '{':
		var comments map[string]jsontext.Value
		if err := json.Unmarshal(f.List, &comments); err != nil {
			return nil, err
		}
		list := make([]string, 0, len(comments))
		for value := range comments {
			list = append(list, value)
		}
		slices.Sort(list)
		return list, nil
	}
	return nil, errors.New("missing, or neither a list nor an object")
}

// meaning reads MISP's category. It knows none for sinkholes: their list is
// known by its name.
func (f *file) meaning(name string) (Meaning, error) {
	if strings.Contains(strings.ToLower(path.Base(path.Dir(name))+" "+f.Name), "sinkhole") {
		return Sinkhole, nil
	}
	switch cmp.Or(f.Category, "false_positive") {
	case "false_positive":
		return FalsePositive, nil
	case "known":
		return Known, nil
	}
	return 0, fmt.Errorf("%.64q, want false_positive or known", f.Category)
}
