package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const about = `medfed trains one model in many hospitals without moving patient data; a
Hyperledger Fabric ledger is the referee.

Commands that speak to the ledger need a connection profile and an identity:

  export MEDFED_PROFILE=.run/network/profiles/hospital1.yaml
  export MEDFED_IDENTITY=.run/network/identities/hospital1/node1

The exit status tells what went wrong; "medfed version --exit-codes" lists them.`

// Names of the environment variables that stand in for flags.
const (
	profileVariable  = "MEDFED_PROFILE"
	identityVariable = "MEDFED_IDENTITY"
)

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:           "medfed",
		Short:         "Federated learning refereed by a ledger",
		Long:          about,
		Args:          noUnknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       readVersion().String(),
	}
	root.SetVersionTemplate("medfed {{.Version}}\n")
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(cmd.OutOrStdout(), cmd) })
	flags := root.PersistentFlags()
	flags.Var(&a.format, "format", `how to print: "table", or "json" (one value; streams print a value a line)`)
	flags.StringVar(&a.profile, "profile", os.Getenv(profileVariable), "connection profile of your organisation (or "+profileVariable+")")
	flags.StringVar(&a.identity, "identity", os.Getenv(identityVariable), "MSP folder of your identity (or "+identityVariable+")")
	flags.Lookup("profile").DefValue, flags.Lookup("identity").DefValue = "", ""
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newNetwork(a), newCollections(a), newTask(a), newNode(a), newRound(a), newModel(a), newLineage(a), newHistory(a),
		newRecord(a), newIngest(a), newConsent(a), newAccess(a), newAudit(a), newIdentity(a), newPrivacy(a), newSimulate(a), newVersion(a))
	for _, command := range root.Commands() {
		checkArguments(command)
	}
	return root
}

// group makes a command that only holds others: called without one of them it is
// a usage error, and a misspelt one is answered with the likely names.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  noUnknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage("%s needs a command: %s; see %s --help", cmd.CommandPath(), strings.Join(names(cmd.Commands()), ", "), cmd.CommandPath())
		},
	}
	g.AddCommand(commands...)
	return g
}

func names(commands []*cobra.Command) []string {
	var all []string
	for _, c := range commands {
		if c.IsAvailableCommand() {
			all = append(all, c.Name())
		}
	}
	return all
}

func noUnknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := fmt.Sprintf("see %s --help", cmd.CommandPath())
	if likely := cmd.SuggestionsFor(args[0]); len(likely) > 0 {
		hint = "did you mean " + strings.Join(likely, " or ") + "?"
	}
	return usage("%s has no command %q; %s", cmd.CommandPath(), args[0], hint)
}

// checkArguments turns wrong numbers of arguments, below command too, into usage
// errors that show how the command is written.
func checkArguments(command *cobra.Command) {
	if check := command.Args; check != nil && !command.HasSubCommands() {
		command.Args = func(cmd *cobra.Command, args []string) error {
			if check(cmd, args) != nil {
				return usage("%s does not take %s; write %s", cmd.CommandPath(), count(args), cmd.UseLine())
			}
			return nil
		}
	}
	for _, c := range command.Commands() {
		checkArguments(c)
	}
}

// count says how many arguments there are.
func count(args []string) string {
	switch len(args) {
	case 0:
		return "no argument"
	case 1:
		return fmt.Sprintf("the argument %q alone", args[0])
	default:
		return fmt.Sprintf("%d arguments", len(args))
	}
}

// flagError explains a wrong flag, with the nearest name for a misspelt one.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var valueless *pflag.ValueRequiredError
	var wrong *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usage("there is no flag -%s; see %s --help", unknown.GetSpecifiedShortnames()[:1], cmd.CommandPath())
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if likely := nearestFlag(cmd, name); likely != "" {
			return usage("there is no flag --%s; did you mean --%s?", name, likely)
		}
		return usage("there is no flag --%s; see %s --help", name, cmd.CommandPath())
	case errors.As(err, &valueless):
		return usage("--%s has no value; give it %s", valueless.GetFlag().Name, kindOfValue(valueless.GetFlag()))
	case errors.As(err, &wrong) && isOwn(wrong.GetFlag().Value):
		return usage("--%s is %q: %w; see %s --help", wrong.GetFlag().Name, wrong.GetValue(), errors.Unwrap(wrong), cmd.CommandPath())
	case errors.As(err, &wrong):
		return usage("--%s is %q; give it %s", wrong.GetFlag().Name, wrong.GetValue(), kindOfValue(wrong.GetFlag()))
	}
	return usage("a flag can't be read; see %s --help", cmd.CommandPath())
}

// isOwn reports whether a flag's type is medfed's own, whose errors say in words
// what it takes; those of the flags library name the function that parsed.
func isOwn(value pflag.Value) bool {
	return reflect.TypeOf(value).Elem().PkgPath() != reflect.TypeFor[pflag.Flag]().PkgPath()
}

// kindOfValue is what a flag takes, in words.
func kindOfValue(flag *pflag.Flag) string {
	switch flag.Value.Type() {
	case "bool":
		return "true or false"
	case "int", "int64":
		return "a whole number, such as 3"
	case "duration":
		return "a duration, such as 90s or 24h"
	default:
		return "a " + flag.Value.Type()
	}
}

func nearestFlag(cmd *cobra.Command, name string) string {
	best, least := "", 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < least {
			best, least = f.Name, d
		}
	})
	return best
}

// distance is how many insertions, deletions and replacements of a character
// turn a into b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// choice is a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.allowed, "|") }
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("use one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = s
	return nil
}
