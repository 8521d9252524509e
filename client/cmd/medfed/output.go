package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vbauerster/mpb/v8/cwriter"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
)

// format is the value of --format.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "table|json" }
func (f *format) Set(s string) error {
	if s != string(formatTable) && s != string(formatJSON) {
		return errors.New("use table or json")
	}
	*f = format(s)
	return nil
}

// print writes one value: as indented JSON, or by the table function.
func (a *app) print(value any, table func(w io.Writer)) error {
	if a.format == formatJSON {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		return written(encoder.Encode(value))
	}
	return a.printTable(table)
}

// printLine writes one value of a stream: as one line of JSON, or by the table
// function.
func (a *app) printLine(value any, table func(w io.Writer)) error {
	if a.format == formatJSON {
		return written(json.NewEncoder(a.stdout).Encode(value))
	}
	return a.printTable(table)
}

// printTable writes columns. On a terminal a line that is wider than it is cut; a
// pipe, a file and --format json have all of it.
func (a *app) printTable(table func(w io.Writer)) error {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	table(w)
	if err := w.Flush(); err != nil {
		return written(err)
	}
	if f, ok := a.stdout.(*os.File); ok && cwriter.IsTerminal(int(f.Fd())) {
		if width, _, err := cwriter.New(f).GetTermSize(); err == nil && width > 1 {
			return written(writeCut(f, text.String(), width))
		}
	}
	_, err := io.WriteString(a.stdout, text.String())
	return written(err)
}

// writeCut writes lines of at most width characters, the last of a longer one an
// ellipsis.
func writeCut(w io.Writer, text string, width int) error {
	for line := range strings.Lines(text) {
		characters := []rune(strings.TrimSuffix(line, "\n"))
		if len(characters) > width {
			line = string(characters[:width-1]) + "…\n"
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

func written(err error) error {
	if err != nil {
		return codes.Wrapf("MF-WRITE-OUTPUT", "the output can't be written: %w; check where it goes", err)
	}
	return nil
}

// failure is an error as --format json prints it on standard error.
type failure struct {
	Code    codes.Code `json:"code"`
	Message string     `json:"message"`
	Exit    int        `json:"exit"`
}

// printError tells the user what went wrong on standard error: from the error's
// code on, without the words that peer and gateway have put before it.
func (a *app) printError(err error) {
	message := err.Error()
	var coded *codes.Error
	if errors.As(err, &coded) {
		_, after, _ := strings.Cut(message, coded.Error())
		message = coded.Error() + after
	}
	message = strings.TrimSpace(message)
	if a.format == formatJSON {
		_ = json.NewEncoder(a.stderr).Encode(map[string]failure{"error": {codes.Of(err), message, exit.Of(err)}})
		return
	}
	fmt.Fprintln(a.stderr, "medfed:", message)
}

// usage makes the error of a wrong command line.
func usage(format string, args ...any) error { return codes.Wrapf("MF-USAGE", format, args...) }

// interrupted hides what an interrupt broke: the user knows why.
func interrupted(err error) error {
	if codes.Of(err) != "" && !errors.Is(err, context.Canceled) {
		return err
	}
	return codes.Errorf("MF-INTERRUPTED", "stopped on request; run the command again to go on")
}

// rate prints a share of one with four digits.
func rate(v float64) string { return fmt.Sprintf("%.4f", v) }

// scored prints a median with six places, a dash where there is none.
func scored(median fl.Micro) string {
	if median == fl.Unscored {
		return "–"
	}
	return median.Decimal(6)
}

// moment prints a transaction's time, a dash where there is none.
func moment(unix int64) string {
	if unix == 0 {
		return "–"
	}
	return time.Unix(unix, 0).UTC().Format(time.DateTime)
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func spaced(words []string) string { return strings.Join(words, " ") }
