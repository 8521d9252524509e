// Command build makes the programs that a network on this machine needs: the
// servers, which the tool lines of network/tools/{servers,fabric-ca}/go.mod name and
// pin, and medfed's own. Servers that are current are left alone.
//
//	go run ./network/tools/build -out .run/bin [servers] [medfed]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/medfed/medfed/chaincode/codes"
)

// own are medfed's programs.
var own = []string{"./client/cmd/medfed", "./chaincode", "./test-network/demo"}

// The exit statuses are those of medfed for MF-USAGE and MF-TOOLS.
const misused, failed = 2, 11

func main() {
	out := flag.String("out", filepath.Join(".run", "bin"), "folder of the programs")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: build [-out folder] [servers] [medfed]")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if codes.Of(err) == "MF-USAGE" {
			os.Exit(misused)
		}
		os.Exit(failed)
	}
}

// run builds the modules that are named, or all.
func run(ctx context.Context, out string, names []string) error {
	wanted := func(name string) bool { return len(names) == 0 || slices.Contains(names, name) }
	for _, name := range names {
		if name != "servers" && name != "medfed" {
			return codes.Errorf("MF-USAGE", "there are no programs called %s; name servers or medfed", name)
		}
	}
	var modules []*module
	if wanted("servers") {
		for _, name := range []string{"servers", "fabric-ca"} {
			modules = append(modules, servers(filepath.Join("network", "tools", name)))
		}
	}
	if wanted("medfed") {
		modules = append(modules, medfed(ctx))
	}
	return buildAll(ctx, modules, out, newDisplay(os.Stderr))
}

// servers are the programs of a module's tool lines. Nothing of them is ever
// debugged here, so that their linker may leave that out.
func servers(dir string) *module {
	return &module{name: filepath.Base(dir), dir: dir, targets: []string{"tool"}, flags: []string{"-mod=readonly", "-ldflags=-w"}, pinned: true}
}

// medfed is the module in which this program lies.
func medfed(ctx context.Context) *module {
	commit, _ := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output() // nothing outside a checkout
	return &module{name: "medfed", dir: ".", targets: own,
		flags: []string{"-ldflags=-w", "-ldflags=github.com/medfed/medfed/client/cmd/medfed=-w -X main.commit=" + strings.TrimSpace(string(commit))}}
}

// buildAll builds the first module, which has most of what the others share, and then
// the others side by side, so that one long compilation leaves no core idle. What all
// of them have to compile is found before, so that it can be said how far they are.
func buildAll(ctx context.Context, modules []*module, out string, show display) (err error) {
	defer func() { show.close(err == nil) }()
	if out, err = filepath.Abs(out); err == nil {
		err = os.MkdirAll(out, 0o755)
	}
	if err != nil {
		return codes.Wrapf("MF-TOOLS-FOLDER", "%w; name a folder that can be written", err)
	}
	if err := prepareAll(ctx, modules, out, show); err != nil {
		return err
	}
	show.begin(newWork(modules))
	if err := modules[0].build(ctx, show); err != nil {
		return errors.Join(err, ctx.Err())
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, m := range modules[1:] {
		group.Go(func() error { return m.build(groupCtx, show) })
	}
	if err := group.Wait(); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return nil
}

// prepareAll finds out what there is to do. Most of that time passes with waiting for
// downloads: meanwhile the standard library is compiled, which needs none.
func prepareAll(ctx context.Context, modules []*module, out string, show display) error {
	compiling, stop := context.WithCancel(ctx)
	var compiled sync.WaitGroup
	defer compiled.Wait()
	defer stop()
	group, groupCtx := errgroup.WithContext(ctx)
	for _, m := range modules {
		m.out = out
		group.Go(func() error { return m.prepare(groupCtx, show) })
	}
	if slices.ContainsFunc(modules, func(m *module) bool { return m.pinned }) {
		compiled.Go(func() { _ = modules[0].goCommand(compiling, io.Discard, ignore, "build", "std") }) // what fails is said when it is needed
	}
	if err := group.Wait(); err != nil {
		return errors.Join(err, ctx.Err())
	}
	return nil
}
