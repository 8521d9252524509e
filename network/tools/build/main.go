// Command build makes the servers of the network from their pinned modules: the
// programs that the tool lines of network/tools/*/go.mod name, every version
// fixed there and in go.sum. What is current is left alone.
//
//	go run ./network/tools/build -out .run/bin
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/medfed/medfed/chaincode/codes"
)

func main() {
	out := flag.String("out", filepath.Join(".run", "bin"), "folder of the programs")
	tools := flag.String("tools", filepath.Join("network", "tools"), "folder of the modules")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := buildAll(ctx, *tools, *out, newDisplay(os.Stderr)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// buildAll builds every module below tools whose programs in out are not current.
func buildAll(ctx context.Context, tools, out string, show display) error {
	defer show.close()
	files, err := filepath.Glob(filepath.Join(tools, "*", "go.mod"))
	if err != nil || len(files) == 0 {
		return codes.Errorf("MF-TOOLS-MODULES", "there is no module below %s; run this in the root of the repository", tools)
	}
	if out, err = filepath.Abs(out); err == nil {
		err = os.MkdirAll(out, 0o755)
	}
	if err != nil {
		return codes.Wrapf("MF-TOOLS-FOLDER", "%w; name a folder that can be written", err)
	}
	for _, file := range files {
		m := module{dir: filepath.Dir(file), out: out, show: show}
		if err := m.build(ctx); err != nil {
			return errors.Join(err, ctx.Err())
		}
	}
	return nil
}
