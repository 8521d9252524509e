package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"
)

// display shows how far the programs are: a bar on a terminal, lines elsewhere. Its
// methods may be called from several goroutines.
type display interface {
	says(format string, args ...any)
	begin(w *work)
	note(module, line string) // what Go said: a package that is compiled, or a message
	built(m *module)
	close(ok bool)
}

// newDisplay shows a bar when out is a terminal.
func newDisplay(out *os.File) display {
	if cwriter.IsTerminal(int(out.Fd())) {
		return newBar(out)
	}
	return &plain{out: out, began: time.Now()}
}

// compiled reports whether a line of go build -v is the path of a package that is
// being compiled.
func compiled(line string) bool {
	return line != "" && !strings.ContainsAny(line, " \t") && !strings.HasPrefix(line, "#")
}

// downloading reports whether Go says that it downloads a module.
func downloading(line string) bool { return strings.HasPrefix(line, "go: downloading ") }

// plain writes a line for each tenth of the work, and for each 50 modules downloaded.
type plain struct {
	out     io.Writer
	began   time.Time
	lock    sync.Mutex
	fetched int
	work    *work
	told    int64 // percent
}

func (p *plain) says(format string, args ...any) {
	p.lock.Lock()
	defer p.lock.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *plain) begin(w *work) {
	if p.fetched > 0 {
		p.says("%d modules downloaded in %s", p.fetched, time.Since(p.began).Round(time.Second))
	}
	p.work, p.began = w, time.Now()
	if w.packages > 0 {
		p.says("%d packages to compile and %d programs to link, %s", w.packages, w.links, about(w.left(0)))
	}
}

func (p *plain) note(_, line string) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if downloading(line) {
		if p.fetched++; p.fetched%50 == 0 {
			fmt.Fprintf(p.out, "%d modules downloaded\n", p.fetched)
		}
	}
	if p.work == nil || !compiled(line) {
		return
	}
	p.work.begun(line)
	if now := p.work.percent(); now/10 > p.told/10 {
		p.told = now
		fmt.Fprintf(p.out, "%3d %% built, %s left\n", now, about(p.work.left(time.Since(p.began))))
	}
}

func (p *plain) built(m *module) {
	p.lock.Lock()
	p.work.built(m)
	p.lock.Unlock()
	p.says("%s: built after %s", m.name, time.Since(p.began).Round(time.Second))
}

func (p *plain) close(bool) {}

// bar is a line on a terminal: what is done, how much of it, and for how long still.
type bar struct {
	container *mpb.Progress
	bar       *mpb.Bar
	began     time.Time
	lock      sync.Mutex
	fetched   int
	work      *work
	doing     string
}

// barColumns are those of the bar itself and doingColumns those of the package that is
// compiled: with the figures between them a line has less than 80.
const barColumns, doingColumns = 22, 26

func newBar(out io.Writer) *bar {
	b := &bar{container: mpb.New(mpb.WithOutput(out), mpb.WithWidth(barColumns), mpb.WithAutoRefresh()), began: time.Now(), doing: "looking"}
	b.bar = b.container.AddBar(0, mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Elapsed(decor.ET_STYLE_MMSS, decor.WC{W: 6, C: decor.DindentRight})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.status() })))
	return b
}

// status is what stands behind the bar.
func (b *bar) status() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.work == nil {
		return b.doing
	}
	return fmt.Sprintf("%3d %% · %s left · %s", b.work.percent(), strings.TrimPrefix(about(b.work.left(time.Since(b.began))), "about "), b.doing)
}

func (b *bar) says(format string, args ...any) { fmt.Fprintf(b.container, format+"\n", args...) }

func (b *bar) begin(w *work) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.work, b.began = w, time.Now()
	b.bar.SetTotal(max(1, w.total), false)
}

func (b *bar) note(_, line string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	switch {
	case downloading(line):
		b.fetched++
		b.doing = fmt.Sprintf("%d modules downloaded", b.fetched)
	case b.work != nil && compiled(line):
		b.doing = shorten(line, doingColumns)
		b.work.begun(line)
		b.bar.SetCurrent(b.work.done)
	}
}

func (b *bar) built(m *module) {
	b.lock.Lock()
	b.work.built(m)
	b.bar.SetCurrent(min(b.work.done, b.work.total-1))
	passed := time.Since(b.began).Round(time.Second)
	b.lock.Unlock()
	b.says("%s: built after %s", m.name, passed)
}

func (b *bar) close(bool) {
	b.bar.Abort(true)
	b.container.Wait()
}

// shorten keeps the end of a path that would make the line wrap.
func shorten(path string, most int) string {
	if len(path) <= most {
		return path
	}
	return "…" + path[len(path)-most+1:]
}
