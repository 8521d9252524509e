package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is how many columns help takes at most.
const helpWidth = 80

// printHelp writes what a command is for and how it is written.
func printHelp(w io.Writer, cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintf(w, "%s\n\nUsage:\n", filled(about))
	if cmd.Runnable() {
		fmt.Fprintln(w, hang("  ", cmd.UseLine()))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(w, "  %s COMMAND\n\nCommands:\n", cmd.CommandPath())
		printCommands(w, cmd.Commands())
	}
	if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags:\n%s", flags.FlagUsagesWrapped(helpWidth))
	}
	if flags := cmd.InheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\nFlags of every command:\n%s", flags.FlagUsagesWrapped(helpWidth))
	}
}

// filled breaks the paragraphs of a text into lines anew; one that is indented, an
// example, stays as it is.
func filled(text string) string {
	paragraphs := strings.Split(strings.TrimSpace(text), "\n\n")
	for i, paragraph := range paragraphs {
		if !strings.Contains("\n"+paragraph, "\n ") {
			paragraphs[i] = hang("", paragraph)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// printCommands writes a line or more for each command: its name, and what it is for
// in a column of its own.
func printCommands(w io.Writer, commands []*cobra.Command) {
	column := 0
	for _, c := range commands {
		if c.IsAvailableCommand() {
			column = max(column, len(c.Name())+4)
		}
	}
	for _, c := range commands {
		if !c.IsAvailableCommand() {
			continue
		}
		indent := strings.Repeat(" ", column)
		fmt.Fprintf(w, "  %-*s%s\n", column-2, c.Name(), strings.TrimPrefix(hang(indent, c.Short), indent))
	}
}

// hang breaks a text between words into lines of at most helpWidth columns, each
// after an indent. A word that is longer stays whole.
func hang(indent, text string) string {
	var lines []string
	line := indent
	for _, word := range strings.Fields(text) {
		switch {
		case line == indent:
			line += word
		case len([]rune(line))+1+len([]rune(word)) <= helpWidth:
			line += " " + word
		default:
			lines = append(lines, line)
			line = indent + word
		}
	}
	return strings.Join(append(lines, line), "\n")
}
