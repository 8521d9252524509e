// Package determinism is the lint pass that keeps contract code the same on
// every endorser: a clock, randomness, a goroutine, state that outlives a
// transaction, the order of a map, a floating-point number or a look outside
// the ledger would let two honest peers endorse different results.
package determinism

import (
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
)

// Analyzer reports what contract code may not hold. Test files are not contract
// code and are passed over.
var Analyzer = &analysis.Analyzer{
	Name:     "determinism",
	Doc:      "report clocks, randomness, goroutines, package state, map order and floats in contract code",
	Requires: []*analysis.Analyzer{inspect.Analyzer},
	Run:      run,
}

// forbiddenImports are packages whose results differ between endorsers.
var forbiddenImports = map[string]string{
	"crypto/rand":   "randomness",
	"math/rand":     "randomness",
	"math/rand/v2":  "randomness",
	"net":           "the network",
	"net/http":      "the network",
	"os":            "the machine it runs on",
	"os/exec":       "the machine it runs on",
	"path/filepath": "the machine it runs on",
	"runtime":       "the machine it runs on",
	"sync":          "concurrency",
	"sync/atomic":   "concurrency",
	"unsafe":        "memory addresses",
	"math":          "floating-point numbers",
}

// clock are the functions and variables of package time that ask the machine.
var clock = map[string]bool{
	"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "Tick": true,
	"NewTicker": true, "NewTimer": true, "Sleep": true, "Local": true, "LoadLocation": true,
}

func run(pass *analysis.Pass) (any, error) {
	c := checker{pass}
	for _, file := range pass.Files {
		if !c.isTest(file.Pos()) {
			c.imports(file)
		}
	}
	c.packageVariables()
	kinds := []ast.Node{
		(*ast.GoStmt)(nil), (*ast.SelectStmt)(nil), (*ast.SendStmt)(nil), (*ast.SelectorExpr)(nil),
		(*ast.CallExpr)(nil), (*ast.Ident)(nil), (*ast.BasicLit)(nil), (*ast.BinaryExpr)(nil),
	}
	files := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	files.WithStack(append(kinds, (*ast.RangeStmt)(nil)), func(n ast.Node, push bool, stack []ast.Node) bool {
		if push && !c.isTest(n.Pos()) {
			c.node(n, stack)
		}
		return true
	})
	return nil, nil
}

// checker looks at one package.
type checker struct{ *analysis.Pass }

func (c checker) isTest(pos token.Pos) bool {
	return strings.HasSuffix(c.Fset.Position(pos).Filename, "_test.go")
}

func (c checker) imports(file *ast.File) {
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if what, found := forbiddenImports[path]; found {
			c.Reportf(spec.Pos(), "import of %s: contract code may not depend on %s", path, what)
		}
	}
}

func (c checker) node(n ast.Node, stack []ast.Node) {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.Reportf(n.Pos(), "goroutine: contract code runs in one order only")
	case *ast.SelectStmt, *ast.SendStmt:
		c.Reportf(n.Pos(), "channel: contract code runs in one order only")
	case *ast.SelectorExpr:
		c.selector(n, stack)
	case *ast.CallExpr:
		c.mapIterator(n, stack)
	case *ast.RangeStmt:
		c.mapRange(n, stack)
	case *ast.BasicLit:
		if n.Kind == token.FLOAT || n.Kind == token.IMAG {
			c.Reportf(n.Pos(), "floating-point literal: the ledger holds integers only")
		}
	case *ast.BinaryExpr:
		if c.isFloat(n) {
			c.Reportf(n.Pos(), "floating-point arithmetic: the ledger holds integers only")
		}
	case *ast.Ident:
		if name, ok := c.TypesInfo.Uses[n].(*types.TypeName); ok && name.Pkg() == nil && floatName(n.Name) {
			c.Reportf(n.Pos(), "%s: the ledger holds integers only", n.Name)
		}
	}
}

func floatName(name string) bool {
	switch name {
	case "float32", "float64", "complex64", "complex128":
		return true
	}
	return false
}

func (c checker) isFloat(e ast.Expr) bool {
	basic, ok := c.TypesInfo.TypeOf(e).(*types.Basic)
	return ok && basic.Info()&(types.IsFloat|types.IsComplex) != 0
}

// selector reports the machine's clock, and times in the machine's zone.
func (c checker) selector(n *ast.SelectorExpr, stack []ast.Node) {
	object := c.TypesInfo.Uses[n.Sel]
	if object == nil || object.Pkg() == nil || object.Pkg().Path() != "time" {
		return
	}
	switch name := object.Name(); {
	case clock[name]:
		c.Reportf(n.Pos(), "time.%s: a transaction's time is its timestamp", name)
	case strings.HasPrefix(name, "Unix") && isPackageFunction(object) && !calledThenUTC(stack):
		c.Reportf(n.Pos(), "time.%s without .UTC(): its text depends on the machine's time zone", name)
	}
}

func isPackageFunction(object types.Object) bool {
	function, ok := object.(*types.Func)
	return ok && function.Signature().Recv() == nil
}

// calledThenUTC reports whether a stack ends in time.Unix(...).UTC, seen from Unix.
func calledThenUTC(stack []ast.Node) bool {
	if len(stack) < 3 {
		return false
	}
	if _, called := stack[len(stack)-2].(*ast.CallExpr); !called {
		return false
	}
	next, ok := stack[len(stack)-3].(*ast.SelectorExpr)
	return ok && next.Sel.Name == "UTC"
}

// mapIterator reports maps.Keys and its kin outside slices.Sorted, and reflection
// over a map.
func (c checker) mapIterator(n *ast.CallExpr, stack []ast.Node) {
	function := c.callee(n)
	if function == nil || function.Pkg() == nil {
		return
	}
	switch path, name := function.Pkg().Path(), function.Name(); {
	case path == "maps" && (name == "Keys" || name == "Values" || name == "All"):
		if parent, ok := stack[len(stack)-2].(*ast.CallExpr); ok {
			if outer := c.callee(parent); outer != nil && outer.Pkg() != nil && outer.Pkg().Path() == "slices" && strings.HasPrefix(outer.Name(), "Sorted") {
				return
			}
		}
		c.Reportf(n.Pos(), "maps.%s in no fixed order: wrap it in slices.Sorted", name)
	case path == "reflect" && (name == "MapRange" || name == "MapKeys"):
		c.Reportf(n.Pos(), "reflect %s: the order of a map differs between endorsers", name)
	}
}

func (c checker) callee(n *ast.CallExpr) *types.Func {
	fun := ast.Unparen(n.Fun)
	if index, ok := fun.(*ast.IndexExpr); ok {
		fun = index.X
	}
	switch fun := fun.(type) {
	case *ast.SelectorExpr:
		function, _ := c.TypesInfo.Uses[fun.Sel].(*types.Func)
		return function
	case *ast.Ident:
		function, _ := c.TypesInfo.Uses[fun].(*types.Func)
		return function
	}
	return nil
}

// mapRange reports a range over a map, save one that only gathers the keys into
// a slice which the same function sorts.
func (c checker) mapRange(n *ast.RangeStmt, stack []ast.Node) {
	over := c.TypesInfo.TypeOf(n.X)
	if over == nil {
		return
	}
	if _, isMap := over.Underlying().(*types.Map); !isMap {
		return
	}
	if keys := gatheredInto(n); keys != nil && c.sortedIn(stack, c.TypesInfo.ObjectOf(keys), n.End()) {
		return
	}
	c.Reportf(n.Pos(), "range over a map: its order differs between endorsers; sort the keys first")
}

// gatheredInto is the slice of a loop whose whole body is keys = append(keys, key).
func gatheredInto(n *ast.RangeStmt) *ast.Ident {
	if len(n.Body.List) != 1 || n.Value != nil {
		return nil
	}
	assign, ok := n.Body.List[0].(*ast.AssignStmt)
	if !ok || len(assign.Lhs) != 1 || len(assign.Rhs) != 1 {
		return nil
	}
	keys, ok := assign.Lhs[0].(*ast.Ident)
	call, isCall := assign.Rhs[0].(*ast.CallExpr)
	if !ok || !isCall {
		return nil
	}
	if function, ok := call.Fun.(*ast.Ident); !ok || function.Name != "append" {
		return nil
	}
	return keys
}

// sortedIn reports whether the innermost function on the stack sorts the slice after pos.
func (c checker) sortedIn(stack []ast.Node, keys types.Object, pos token.Pos) bool {
	var body ast.Node
	for i := len(stack) - 1; i >= 0 && body == nil; i-- {
		switch f := stack[i].(type) {
		case *ast.FuncDecl:
			body = f.Body
		case *ast.FuncLit:
			body = f.Body
		}
	}
	sorted := false
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || call.Pos() < pos || len(call.Args) == 0 {
			return true
		}
		argument, ok := call.Args[0].(*ast.Ident)
		function := c.callee(call)
		if ok && function != nil && function.Pkg() != nil && c.TypesInfo.ObjectOf(argument) == keys {
			path := function.Pkg().Path()
			sorted = sorted || path == "sort" || path == "slices" && strings.HasPrefix(function.Name(), "Sort")
		}
		return true
	})
	return sorted
}

// packageVariables reports variables of the package that a transaction could
// change, so that the next would see what an endorser happened to run before.
func (c checker) packageVariables() {
	for _, file := range c.Files {
		if c.isTest(file.Pos()) {
			continue
		}
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Body != nil {
				c.writes(function.Body)
			}
		}
	}
	scope := c.Pkg.Scope()
	for _, name := range scope.Names() {
		variable, ok := scope.Lookup(name).(*types.Var)
		if ok && !c.isTest(variable.Pos()) && holdsState(variable.Type()) {
			c.Reportf(variable.Pos(), "package-level variable %s can hold state between transactions", name)
		}
	}
}

// holdsState tells types that change without being assigned to.
func holdsState(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Chan:
		return true
	case *types.Pointer:
		return u.Elem().String() != "regexp.Regexp"
	case *types.Basic:
		return true // a number, a string or a truth value that never changes is a constant
	}
	return strings.HasPrefix(t.String(), "sync.")
}

// writes reports assignments to, and addresses of, the package's variables.
func (c checker) writes(body ast.Node) {
	report := func(e ast.Expr) {
		root := rootOf(e)
		if root == nil {
			return
		}
		if v, ok := c.TypesInfo.Uses[root].(*types.Var); ok && v.Parent() == c.Pkg.Scope() {
			c.Reportf(e.Pos(), "package-level variable %s is changed: nothing may outlive a transaction but the ledger", v.Name())
		}
	}
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				report(left)
			}
		case *ast.IncDecStmt:
			report(n.X)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				report(n.X)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear" || f.Name == "copy") && len(n.Args) > 0 {
				report(n.Args[0])
			}
		}
		return true
	})
}

// rootOf is the variable that an expression such as v.a[i].b changes.
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		default:
			return nil
		}
	}
}
