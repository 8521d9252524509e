package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// module is a folder with a go.mod and the programs that are built there.
type module struct {
	name    string
	dir     string
	targets []string // as go build takes them
	flags   []string // of go build
	pinned  bool     // nothing but go.mod, go.sum, the flags and Go make other programs
	out     string   // absolute

	source  string           // digest of what a pinned module is built from
	patched []string         // flags with which go takes what patches have changed
	current bool             // a pinned module's programs were built from it and are whole
	stale   map[string]int64 // package to be compiled -> size of its sources in bytes
	links   int              // programs to be linked
}

// stamp says from what the programs beside it were built.
type stamp struct {
	Source   string           `json:"source"`   // digest of go.mod, go.sum, patches, the flags and the Go that built them
	Programs map[string]int64 `json:"programs"` // name -> size in bytes
}

func (m *module) stampFile() string { return filepath.Join(m.out, "."+m.name+".stamp") }

// prepare finds out what there is to do, and downloads the modules that it needs.
func (m *module) prepare(ctx context.Context, show display) (err error) {
	if m.pinned {
		if m.source, err = m.digest(ctx); err != nil {
			return err
		}
		if m.current = m.isCurrent(); m.current {
			show.says("%s: current", m.name)
			return nil
		}
		if err := m.checkCompiler(ctx); err != nil {
			return err
		}
		if m.patched, err = m.patch(ctx); err != nil {
			return err
		}
	}
	return m.findStale(ctx, show)
}

// build builds the module's programs unless they are current.
func (m *module) build(ctx context.Context, show display) error {
	if m.current {
		return nil
	}
	into := m.out
	if m.pinned {
		made, err := os.MkdirTemp(m.out, ".build-*")
		if err != nil {
			return m.outError(err)
		}
		defer os.RemoveAll(made)
		defer os.RemoveAll(m.patchedDir())
		into = made
	}
	args := slices.Concat([]string{"build", "-v", "-o", into + string(filepath.Separator)}, m.flags, m.patched, m.targets)
	note := func(line string) { show.note(m.name, line) }
	if err := m.goCommand(ctx, io.Discard, note, args...); err != nil {
		return err
	}
	show.built(m)
	if !m.pinned {
		return nil
	}
	return m.moveOver(into)
}

// moveOver puts what was built in the place of the old programs, all of them. The
// stamp comes last.
func (m *module) moveOver(made string) error {
	programs, err := os.ReadDir(made)
	if err != nil {
		return m.outError(err)
	}
	s := stamp{Source: m.source, Programs: map[string]int64{}}
	for _, program := range programs {
		info, err := program.Info()
		if err == nil {
			err = os.Rename(filepath.Join(made, program.Name()), filepath.Join(m.out, program.Name()))
		}
		if err != nil {
			return m.outError(err)
		}
		s.Programs[program.Name()] = info.Size()
	}
	return m.writeStamp(s)
}

func (m *module) writeStamp(s stamp) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	temporary := m.stampFile() + ".new"
	if err := os.WriteFile(temporary, raw, 0o644); err != nil {
		return m.outError(err)
	}
	if err := os.Rename(temporary, m.stampFile()); err != nil {
		return m.outError(err)
	}
	return nil
}

// isCurrent reports whether the programs were built from this source and are whole.
func (m *module) isCurrent() bool {
	raw, err := os.ReadFile(m.stampFile())
	if err != nil {
		return false
	}
	var s stamp
	if json.Unmarshal(raw, &s) != nil || s.Source != m.source || len(s.Programs) == 0 {
		return false
	}
	for name, size := range s.Programs {
		if info, err := os.Stat(filepath.Join(m.out, name)); err != nil || info.Size() != size {
			return false
		}
	}
	return true
}

// digest is that of everything a pinned module's build depends on, wherever it lies.
func (m *module) digest(ctx context.Context) (string, error) {
	var environment bytes.Buffer
	if err := m.goCommand(ctx, &environment, ignore, "env", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED"); err != nil {
		return "", err
	}
	patches, err := m.patches()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, file := range append([]string{filepath.Join(m.dir, "go.mod"), filepath.Join(m.dir, "go.sum")}, patches...) {
		raw, err := os.ReadFile(file)
		if err != nil && !(errors.Is(err, os.ErrNotExist) && filepath.Base(file) == "go.sum") {
			return "", codes.Wrapf("MF-TOOLS-MODULES", "%w; run this in the root of the repository, and restore the file", err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", filepath.Base(file), len(raw), raw)
	}
	fmt.Fprintf(hash, "%q\n", m.flags)
	hash.Write(environment.Bytes())
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// checkCompiler makes sure of a C compiler, which the Fabric CA's database needs.
func (m *module) checkCompiler(ctx context.Context) error {
	var out bytes.Buffer
	if err := m.goCommand(ctx, &out, ignore, "env", "CC"); err != nil {
		return err
	}
	compiler, _, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	if _, err := exec.LookPath(compiler); err != nil {
		return codes.Errorf("MF-TOOLS-COMPILER", "there is no C compiler %s; install gcc", compiler)
	}
	return nil
}

// inCache is Go's reason for calling a program stale that it need not compile.
const inCache = "not installed but available in build cache"

// listed is what go list says of a package.
type listed struct {
	ImportPath, Dir, Name             string
	GoFiles, CgoFiles, CFiles, SFiles []string
	Stale                             bool
	StaleReason                       string
	DepOnly                           bool
}

// findStale asks Go which packages it has to compile and how large they are.
func (m *module) findStale(ctx context.Context, show display) error {
	var out bytes.Buffer
	// Without EmbedFiles go list leaves embedded files out of what it compares, and
	// calls everything stale that rests on a package with some.
	args := slices.Concat([]string{"list", "-deps", "-json=ImportPath,Dir,Name,GoFiles,CgoFiles,CFiles,SFiles,EmbedFiles,Stale,StaleReason,DepOnly"}, m.flags, m.patched, m.targets)
	note := func(line string) { show.note(m.name, line) }
	if err := m.goCommand(ctx, &out, note, args...); err != nil {
		return err
	}
	m.stale = map[string]int64{}
	for decoder := json.NewDecoder(&out); ; {
		var p listed
		if err := decoder.Decode(&p); err == io.EOF {
			return nil
		} else if err != nil {
			return codes.Wrapf("MF-TOOLS-GO", "go list said what can't be read: %w; install a Go that go.mod names", err)
		}
		if p.Stale && p.StaleReason != inCache {
			m.stale[p.ImportPath] = p.size()
		}
		if p.Stale && p.Name == "main" && !p.DepOnly {
			m.links++
		}
	}
}

// size is that of the package's sources.
func (p listed) size() (bytes int64) {
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles, p.CFiles, p.SFiles) {
		if info, err := os.Stat(filepath.Join(p.Dir, name)); err == nil {
			bytes += info.Size()
		}
	}
	return bytes
}

func ignore(string) {}

// errorLines is how many lines of Go's messages an error shows.
const errorLines = 15

// goCommand runs go in the module, apart from any workspace, and tells each
// line it prints on standard error.
func (m *module) goCommand(ctx context.Context, out io.Writer, note func(string), args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout = m.dir, out
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false -gcflags=all=-dwarf=false", "CGO_ENABLED=1")
	messages, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return codes.Wrapf("MF-TOOLS-GO", "go can't be run: %w; install Go", err)
	}
	var said []string
	lines := bufio.NewScanner(messages)
	for lines.Scan() {
		note(lines.Text())
		said = append(said, lines.Text())
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		said = said[max(0, len(said)-errorLines):]
		return codes.Wrapf("MF-TOOLS-BUILD", "go %s in %s failed (%w); a download may be tried again, anything else is in what it said:\n%s",
			args[0], m.dir, err, strings.Join(said, "\n"))
	}
	return nil
}

func (m *module) outError(err error) error {
	return codes.Wrapf("MF-TOOLS-FOLDER", "%w; make %s writable", err, m.out)
}
