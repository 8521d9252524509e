package bars

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBars(t *testing.T) {
	var out bytes.Buffer
	b := &Bars{out: &out}
	var report struct {
		Speed any `json:"speed"`
		Size  any `json:"size"`
	}
	err := b.Measure(t.Context(), []Step{
		{"speed", &report.Speed, func(context.Context) (any, error) {
			b.Bar(true, "speed is held")
			b.Bar(false, "it is %d, want %d", 2, 3)
			return 2, nil
		}},
		{"size", &report.Size, func(context.Context) (any, error) {
			b.Unmeasured("size: no scales")
			b.Say("no scales")
			return nil, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	missed, err := b.Write(file, report)
	if err != nil || !missed {
		t.Errorf("a bar is missed: %t, %v", missed, err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "{\n  \"speed\": 2,\n  \"size\": null\n}\n" {
		t.Errorf("%q, %v", got, err)
	}
	want := []string{"1 of 2 · speed (0 s): 2", "  no scales", "2 of 2 · size (0 s): null", "not measured: size: no scales", "MISSED: it is 2, want 3", "written to " + file}
	if got := strings.TrimSpace(out.String()); got != strings.Join(want, "\n") {
		t.Errorf("printed\n%s", got)
	}
	broken := errors.New("broken")
	if err := b.Measure(t.Context(), []Step{{"x", &report.Size, func(context.Context) (any, error) { return 1, broken }}}); !errors.Is(err, broken) || report.Size != nil {
		t.Errorf("%v, and %v", err, report.Size)
	}
}
