package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
)

// impureImports give a package the network, files, logs or goroutines.
var impureImports = []string{"net", "os", "log", "syscall", "golang.org/x/sync/errgroup"}

// clock are the names of package time that read a clock or wait.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

// impurities gives what keeps a file from being a function of its arguments.
func impurities(files *token.FileSet, f *ast.File) (faults []string) {
	faultf := func(at token.Pos, format string, args ...any) {
		p := files.Position(at)
		faults = append(faults, fmt.Sprintf("%s:%d: ", p.Filename, p.Line)+fmt.Sprintf(format, args...)+", in protocol")
	}
	timeName := ""
	for _, spec := range f.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(impureImports, func(root string) bool { return within(target, root) }) {
			faultf(spec.Pos(), "imports %s", target)
		}
		if target == "time" {
			timeName = path.Base(target)
			if spec.Name != nil {
				timeName = spec.Name.Name
			}
			if timeName == "." {
				faultf(spec.Pos(), "imports time without its name")
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			faultf(n.Pos(), "starts a goroutine")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == timeName && slices.Contains(clock, n.Sel.Name) {
				faultf(n.Pos(), "uses time.%s", n.Sel.Name)
			}
		case *ast.CallExpr:
			// sync.WaitGroup and its like start goroutines by a method.
			if s, ok := n.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Go" {
				faultf(n.Pos(), "starts a goroutine")
			}
		}
		return true
	})
	return faults
}
