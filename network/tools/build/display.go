package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// display shows how far the modules are: bars on a terminal, lines elsewhere.
type display interface {
	current(module string)
	begin(module string) progress
	close()
}

// progress follows the build of one module.
type progress interface {
	total(packages int)
	note(line string) // what Go said: a package that is compiled, or a message
	end(ok bool)
}

// newDisplay shows bars when out is a terminal.
func newDisplay(out *os.File) display {
	if info, err := out.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return &bars{container: mpb.New(mpb.WithOutput(out), mpb.WithWidth(40)), out: out}
	}
	return &plain{out}
}

// compiled tells whether a line of go build -v is the path of a package that is
// being compiled.
func compiled(line string) bool {
	return line != "" && !strings.ContainsAny(line, " \t") && !strings.HasPrefix(line, "#")
}

// downloading gives the module of a line "go: downloading path version".
func downloading(line string) (module string, ok bool) {
	return strings.CutPrefix(line, "go: downloading ")
}

type bars struct {
	container *mpb.Progress
	out       io.Writer
}

func (b *bars) current(string) {}
func (b *bars) close()         { b.container.Wait() }

func (b *bars) begin(module string) progress {
	p := &barProgress{}
	p.doing.Store("resolving")
	p.bar = b.container.AddBar(0,
		mpb.PrependDecorators(decor.Name(module, decor.WCSyncSpaceR), decor.Elapsed(decor.ET_STYLE_MMSS, decor.WCSyncSpace)),
		mpb.AppendDecorators(decor.CountersNoUnit("%d/%d packages ", decor.WCSyncSpace), decor.Any(func(decor.Statistics) string {
			return p.doing.Load().(string)
		})))
	return p
}

type barProgress struct {
	bar      *mpb.Bar
	packages int64
	doing    atomic.Value // string
}

func (p *barProgress) total(packages int) {
	p.packages = int64(packages)
	p.bar.SetTotal(p.packages, false)
	p.doing.Store("compiling")
}

func (p *barProgress) note(line string) {
	if module, ok := downloading(line); ok {
		p.doing.Store("downloading " + shorten(module))
	} else if compiled(line) {
		p.doing.Store(shorten(line))
		p.bar.Increment()
	}
}

func (p *barProgress) end(ok bool) {
	if !ok {
		p.bar.Abort(false)
		return
	}
	p.doing.Store("built")
	p.bar.SetCurrent(p.packages) // those Go had in its cache were not told
	p.bar.SetTotal(p.packages, true)
}

// shorten keeps the end of a path that would make the line wrap.
func shorten(path string) string {
	const most = 36
	if len(path) <= most {
		return path
	}
	return "…" + path[len(path)-most:]
}

type plain struct{ out io.Writer }

func (p *plain) current(module string) { fmt.Fprintf(p.out, "%s: current\n", module) }
func (p *plain) close()                {}

func (p *plain) begin(module string) progress {
	fmt.Fprintf(p.out, "%s: resolving\n", module)
	return &plainProgress{module: module, out: p.out, began: time.Now()}
}

// plainProgress writes a line for each tenth of the packages.
type plainProgress struct {
	module         string
	out            io.Writer
	began          time.Time
	packages, done int
	fetched        int
}

func (p *plainProgress) total(packages int) {
	p.packages = packages
	fmt.Fprintf(p.out, "%s: building from %d packages, %d modules downloaded\n", p.module, packages, p.fetched)
}

func (p *plainProgress) note(line string) {
	if _, ok := downloading(line); ok {
		p.fetched++
	}
	if !compiled(line) {
		return
	}
	p.done++
	if tenth := p.packages / 10; tenth > 0 && p.done%tenth == 0 {
		fmt.Fprintf(p.out, "%s: %d of at most %d packages compiled\n", p.module, p.done, p.packages)
	}
}

func (p *plainProgress) end(ok bool) {
	if ok {
		fmt.Fprintf(p.out, "%s: built in %s\n", p.module, time.Since(p.began).Round(time.Second))
	}
}
