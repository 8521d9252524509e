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
	"path"
	"path/filepath"
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// module is one folder with a go.mod whose tool lines name programs.
type module struct {
	dir  string
	out  string // absolute
	show display
}

// stamp says from what the programs beside it were built.
type stamp struct {
	Source   string           `json:"source"`   // digest of go.mod, go.sum and the Go that built them
	Programs map[string]int64 `json:"programs"` // name -> size in bytes
}

func (m *module) name() string      { return filepath.Base(m.dir) }
func (m *module) stampFile() string { return filepath.Join(m.out, "."+m.name()+".stamp") }

// build builds the module's programs unless they are current.
func (m *module) build(ctx context.Context) error {
	source, err := m.source(ctx)
	if err != nil {
		return err
	}
	if m.current(source) {
		m.show.current(m.name())
		return nil
	}
	if err := m.checkCompiler(ctx); err != nil {
		return err
	}
	programs, err := m.list(ctx, func(string) {}, "list", "tool")
	if err != nil {
		return err
	}
	progress := m.show.begin(m.name())
	err = m.compile(ctx, programs, source, progress)
	progress.end(err == nil)
	return err
}

// compile builds into a folder beside the programs and moves them over when all
// have been built. The stamp comes last.
func (m *module) compile(ctx context.Context, programs []string, source string, progress progress) error {
	packages, err := m.list(ctx, progress.note, "list", "-deps", "tool")
	if err != nil {
		return err
	}
	progress.total(len(packages))
	made, err := os.MkdirTemp(m.out, ".build-*")
	if err != nil {
		return m.outError(err)
	}
	defer os.RemoveAll(made)
	if err := m.goCommand(ctx, io.Discard, progress.note, "build", "-v", "-o", made+string(filepath.Separator), "tool"); err != nil {
		return err
	}
	s := stamp{Source: source, Programs: map[string]int64{}}
	for _, program := range programs {
		name := path.Base(program)
		info, err := os.Stat(filepath.Join(made, name))
		if err == nil {
			err = os.Rename(filepath.Join(made, name), filepath.Join(m.out, name))
		}
		if err != nil {
			return m.outError(err)
		}
		s.Programs[name] = info.Size()
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

// current says whether the programs were built from this source and are whole.
func (m *module) current(source string) bool {
	raw, err := os.ReadFile(m.stampFile())
	if err != nil {
		return false
	}
	var s stamp
	if json.Unmarshal(raw, &s) != nil || s.Source != source || len(s.Programs) == 0 {
		return false
	}
	for name, size := range s.Programs {
		if info, err := os.Stat(filepath.Join(m.out, name)); err != nil || info.Size() != size {
			return false
		}
	}
	return true
}

// source is the digest of everything a build depends on.
func (m *module) source(ctx context.Context) (string, error) {
	var environment bytes.Buffer
	if err := m.goCommand(ctx, &environment, func(string) {}, "env", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED"); err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(m.dir, file))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", codes.Wrapf("MF-TOOLS-MODULES", "%w; restore the file", err)
		}
		fmt.Fprintf(hash, "%s %d\n%s", file, len(raw), raw)
	}
	hash.Write(environment.Bytes())
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// checkCompiler makes sure of a C compiler, which the Fabric CA's database needs.
func (m *module) checkCompiler(ctx context.Context) error {
	var out bytes.Buffer
	if err := m.goCommand(ctx, &out, func(string) {}, "env", "CC"); err != nil {
		return err
	}
	compiler, _, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	if _, err := exec.LookPath(compiler); err != nil {
		return codes.Errorf("MF-TOOLS-COMPILER", "there is no C compiler %s; install gcc", compiler)
	}
	return nil
}

// list runs go list and returns its lines.
func (m *module) list(ctx context.Context, note func(string), args ...string) ([]string, error) {
	var out bytes.Buffer
	if err := m.goCommand(ctx, &out, note, args...); err != nil {
		return nil, err
	}
	return strings.Fields(out.String()), nil
}

// errorLines is how many lines of Go's messages an error shows.
const errorLines = 15

// goCommand runs go in the module, apart from any workspace, and tells each
// line it prints on standard error.
func (m *module) goCommand(ctx context.Context, out io.Writer, note func(string), args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout = m.dir, out
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false", "CGO_ENABLED=1")
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
