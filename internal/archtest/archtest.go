// Package archtest checks that the code keeps the fences that ARCHITECTURE.md
// draws: which package may import which, and which library belongs where. The
// tables are read from that page, so that page and code cannot drift apart.
//
// It reads every Go file whatever its build tags, needs no network and runs no
// command.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Document holds the tables.
const Document = "ARCHITECTURE.md"

// MaxLines is the length of a Go file, tests included, in lines.
const MaxLines = 500

// longFiles may be longer than MaxLines. An entry that is not needed is a fault.
var longFiles = map[string]bool{}

// vagueNames say nothing about what is inside.
var vagueNames = []string{"util", "utils", "common", "types", "model", "models", "helper", "helpers", "misc", "shared"}

// pkg is one package of the module, by its folder.
type pkg struct {
	dir     string
	name    string
	files   int // other than tests
	comment bool
	imports map[string]string // import path to one file that has it
}

type checker struct {
	fsys   fs.FS
	module string
	pkgs   map[string]*pkg
	faults []string
}

func (c *checker) faultf(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// Check reads a module from its root folder and gives what breaks a fence, in
// order.
func Check(fsys fs.FS) ([]string, error) {
	c := &checker{fsys: fsys, pkgs: map[string]*pkg{}}
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	for line := range strings.Lines(string(mod)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			c.module = strings.TrimSpace(name)
		}
	}
	text, err := fs.ReadFile(fsys, Document)
	if err != nil {
		return nil, fmt.Errorf("read tables: %w", err)
	}
	tables, err := readTables(string(text))
	if err != nil {
		return nil, err
	}
	if err := fs.WalkDir(fsys, ".", c.visit); err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	for dir := range tables.imports {
		if p := c.pkgs[dir]; p == nil || p.files == 0 {
			c.faultf("%s: has a row in %s, and is no package", dir, Document)
		}
	}
	for _, p := range c.pkgs {
		c.checkPackage(p, tables)
	}
	slices.Sort(c.faults)
	return slices.Compact(c.faults), nil
}

func (c *checker) visit(name string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if base := d.Name(); d.IsDir() && name != "." && (base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_') {
		return fs.SkipDir
	}
	if d.IsDir() && name != "." {
		// A module of its own is no part of this one.
		if _, err := fs.Stat(c.fsys, path.Join(name, "go.mod")); err == nil {
			return fs.SkipDir
		}
	}
	if d.IsDir() || path.Ext(name) != ".go" {
		return nil
	}
	text, err := fs.ReadFile(c.fsys, name)
	if err != nil {
		return err
	}
	switch long := strings.Count(string(text), "\n") > MaxLines; {
	case long && !longFiles[name]:
		c.faultf("%s: more than %d lines", name, MaxLines)
	case !long && longFiles[name]:
		c.faultf("%s: is excepted from the limit of %d lines and keeps it", name, MaxLines)
	}
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		c.faultf("%s: does not parse: %v", name, err)
		return nil
	}
	c.file(name, files, f)
	return nil
}

// file notes what one file says about its package.
func (c *checker) file(name string, files *token.FileSet, f *ast.File) {
	dir := path.Dir(name)
	p := c.pkgs[dir]
	if p == nil {
		p = &pkg{dir: dir, imports: map[string]string{}}
		c.pkgs[dir] = p
	}
	if strings.HasSuffix(name, "_test.go") {
		return
	}
	p.files++
	p.name = f.Name.Name
	p.comment = p.comment || f.Doc != nil && strings.HasPrefix(f.Doc.Text(), packageComment(dir, p.name))
	for _, spec := range f.Imports {
		if target, err := strconv.Unquote(spec.Path.Value); err == nil {
			p.imports[target] = name
		}
	}
	if within(dir, "protocol") {
		for _, fault := range impurities(files, f) {
			c.faultf("%s", fault)
		}
	}
}

// packageComment is how a package's comment begins.
func packageComment(dir, name string) string {
	if name == "main" {
		return "Command " + path.Base(dir) + " "
	}
	return "Package " + name + " "
}

func (c *checker) checkPackage(p *pkg, t tables) {
	if p.files == 0 {
		return
	}
	if !p.comment {
		c.faultf("%s: no package comment", p.dir)
	}
	if slices.Contains(vagueNames, p.name) || slices.Contains(vagueNames, path.Base(p.dir)) {
		c.faultf("%s: the name says nothing about what is inside", p.dir)
	}
	allowed, listed := t.imports[p.dir]
	if !listed {
		c.faultf("%s: no row in %s", p.dir, Document)
	}
	for target, file := range p.imports {
		if target == c.module || strings.HasPrefix(target, c.module+"/") {
			ours := strings.TrimPrefix(strings.TrimPrefix(target, c.module), "/")
			if listed && !allowed.any && !slices.Contains(allowed.dirs, ours) {
				c.faultf("%s: imports %s, which its row in %s does not allow", file, ours, Document)
			}
			continue
		}
		for _, l := range t.libraries {
			if within(target, l.prefix) && !slices.ContainsFunc(l.dirs, func(d string) bool { return matches(p.dir, d) }) {
				c.faultf("%s: imports %s, which belongs to %s only", file, target, strings.Join(l.dirs, " and "))
			}
		}
	}
}

// within reports whether a path is root or below it.
func within(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }

// matches reports whether a folder is the pattern, or below it where that ends
// in "/...".
func matches(dir, pattern string) bool {
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(dir, root)
	}
	return dir == pattern
}
