package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/medfed/medfed/client/cmd/medfed/exit"
)

// commit is the revision this binary was built from; the build sets it with
// -ldflags "-X main.commit=...". Without it the Go command's own record is used.
var commit string

// version is what "medfed version" prints.
type version struct {
	Version string `json:"version"`
	Commit  string `json:"commit"` // "" when the build did not record it
	Go      string `json:"go"`
	System  string `json:"system"`
}

func newVersion(a *app) *cobra.Command {
	var statuses bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Show what this medfed was built from",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if statuses {
				return a.print(exit.Table(), printStatuses)
			}
			v := readVersion()
			return a.print(v, func(w io.Writer) {
				fmt.Fprintf(w, "medfed\t%s\ncommit\t%s\ngo\t%s\nsystem\t%s\n", v.Version, orDash(v.Commit), v.Go, v.System)
			})
		},
	}
	c.Flags().BoolVar(&statuses, "exit-codes", false, "list the exit statuses and the error codes that lead to them")
	return c
}

// String is the version in one line.
func (v version) String() string {
	return fmt.Sprintf("%s, commit %s, %s, %s", v.Version, orDash(v.Commit), v.Go, v.System)
}

func readVersion() version {
	v := version{Version: "(devel)", Commit: commit, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && v.Commit == "" {
			v.Commit = setting.Value
		}
	}
	return v
}

func printStatuses(w io.Writer) {
	fmt.Fprintln(w, "EXIT\tMEANING\tCODES")
	for _, s := range exit.Table() {
		codes := s.Prefixes
		for first := true; first || len(codes) > 0; first = false {
			few := codes[:min(len(codes), 3)]
			codes = codes[len(few):]
			if first {
				fmt.Fprintf(w, "%d\t%s\t%s\n", s.Exit, s.Meaning, spaced(few))
			} else {
				fmt.Fprintf(w, "\t\t%s\n", spaced(few))
			}
		}
	}
}
