package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/medfed/medfed/chaincode/fl"
)

// Width is the number of columns a terminal table keeps within.
const Width = 80

// WriteHeading prints what is about to run: data, its checksum, seed, commit and
// network. Synthetic data are named so in the first line.
func WriteHeading(w io.Writer, r Report) error {
	var b strings.Builder
	if r.Data.Synthetic {
		b.WriteString("SYNTHETIC DATA: generated examples; no figure below says anything of a patient\n")
	}
	line(&b, "data", "%s, SHA-256 %s", r.Data.Name, orUnknown(short(r.Data.SHA256, 16)))
	line(&b, "network", "%d peers, %d %s orderers, Fabric %s",
		r.Network.Peers, r.Network.Orderers, r.Network.Consensus, r.Network.Fabric)
	line(&b, "run", "seed %d, commit %s, %s", r.Run.Seed, orUnknown(short(r.Run.Commit, 12)), r.Run.Date)
	if r.Poisoned.Node != "" {
		line(&b, "poisoned", "%s sends poisoned weights", r.Poisoned.Node)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteRound prints one round as a table of at most Width columns. A round on
// synthetic data says so in its title. poisoned is the node whose updates are marked
// in this round, "" for none.
func WriteRound(w io.Writer, r Round, synthetic bool, poisoned string) error {
	var b strings.Builder
	title := fmt.Sprintf("── round %d · %s ", r.Round, r.Phase)
	if synthetic {
		title += "· SYNTHETIC "
	}
	b.WriteString("\n" + title + strings.Repeat("─", max(0, Width-utf8.RuneCountInString(title))) + "\n")
	line(&b, "masters", "%s", strings.Join(r.Masters, ", "))
	fmt.Fprintf(&b, "  %-34s %8s  %9s  %s\n", "trainer", "examples", "median", "")
	for _, id := range r.Trainers {
		writeTrainer(&b, r, id, poisoned)
	}
	if r.Global != nil {
		line(&b, "global", "accuracy %s  AUC %s  sensitivity %s  specificity %s",
			rate(r.Global.Accuracy), rate(r.Global.AUC), rate(r.Global.Sensitivity), rate(r.Global.Specificity))
		line(&b, "model", "digest %s, attested by %d masters", short(r.Global.Digest, 16), r.Attestations)
	}
	s := r.Seconds
	line(&b, "seconds", "%.1f: training %.1f, scoring %.1f, ledger %.1f, ipfs %.1f, other %.1f",
		s.Total, s.Training, s.Scoring, s.Ledger, s.IPFS, s.Other())
	_, err := io.WriteString(w, b.String())
	return err
}

func writeTrainer(b *strings.Builder, r Round, id, poisoned string) {
	mark := ""
	if id == poisoned {
		mark = "  poisoned"
	}
	for _, u := range r.Updates {
		if u.Node != id {
			continue
		}
		decision := "rejected ✕"
		if u.Accepted {
			decision = "accepted"
		}
		fmt.Fprintf(b, "  %-34s %8d  %9s  %s%s\n", middle(id, 34), u.NumExamples, scored(u.MedianMicro), decision, mark)
		return
	}
	fmt.Fprintf(b, "  %-34s %8s  %9s  %s%s\n", middle(id, 34), "–", "–", "no update", mark)
}

// WriteSummary prints the rounds as one table, a line each, and what became of
// the poisoned node.
func WriteSummary(w io.Writer, r Report) error {
	var b strings.Builder
	name := r.Data.Name
	if r.Data.Synthetic {
		name += " (SYNTHETIC)"
	}
	fmt.Fprintf(&b, "\n%s\n", name)
	fmt.Fprintf(&b, "%5s  %-6s  %8s  %6s  %6s  %6s  %8s  %8s  %8s\n",
		"round", "phase", "accuracy", "AUC", "sens.", "spec.", "accepted", "seconds", "overhead")
	for _, round := range r.Rounds {
		g := []string{"–", "–", "–", "–"}
		if round.Global != nil {
			g = []string{rate(round.Global.Accuracy), rate(round.Global.AUC), rate(round.Global.Sensitivity), rate(round.Global.Specificity)}
		}
		fmt.Fprintf(&b, "%5d  %-6s  %8s  %6s  %6s  %6s  %8s  %8.1f  %8.1f\n", round.Round, round.Phase,
			g[0], g[1], g[2], g[3], acceptedOf(round), round.Seconds.Total, round.Seconds.Overhead())
	}
	if r.Poisoned.Node != "" {
		fmt.Fprintf(&b, "poisoned %s: rejected in %s\n", r.Poisoned.Node, roundsInWords(r.Poisoned.RejectedRounds))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// line prints "label  text", wrapped at spaces to Width columns.
func line(b *strings.Builder, label, format string, args ...any) {
	const indent = 11
	row := fmt.Sprintf("  %-9s", label)
	used := indent
	for i, word := range strings.Fields(fmt.Sprintf(format, args...)) {
		word = middle(word, Width-indent)
		n := utf8.RuneCountInString(word)
		if i > 0 && used+1+n > Width {
			b.WriteString(row + "\n")
			row, used = strings.Repeat(" ", indent), indent
		} else if i > 0 {
			row, used = row+" ", used+1
		}
		row, used = row+word, used+n
	}
	b.WriteString(row + "\n")
}

// middle shortens s to n columns by leaving out its middle.
func middle(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	head := (n - 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(n-1-head):])
}

func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func rate(v float64) string { return fmt.Sprintf("%.4f", v) }

// scored prints a median with four places.
func scored(median fl.Micro) string {
	if median == fl.Unscored {
		return "unscored"
	}
	return median.Decimal(4)
}

func acceptedOf(r Round) string {
	n := 0
	for _, u := range r.Updates {
		if u.Accepted {
			n++
		}
	}
	return fmt.Sprintf("%d of %d", n, len(r.Trainers))
}

func roundsInWords(rounds []int) string {
	switch len(rounds) {
	case 0:
		return "no round"
	case 1:
		return fmt.Sprintf("round %d", rounds[0])
	}
	words := make([]string, len(rounds))
	for i, n := range rounds {
		words[i] = fmt.Sprint(n)
	}
	return "rounds " + strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
