package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/medfed/medfed/client/simulate"
)

// ownCommand does one run of this command by itself.
func ownCommand(name string) string {
	return fmt.Sprintf("go run ./client/reproduce -only '^%s$'", name)
}

// command is what plays a federated task by itself: "medfed simulate" with the flags
// of what is not its default, and of what the papers vary.
func command(data string, s simulate.Settings) string {
	words := []string{"medfed simulate", "--data " + data, fmt.Sprintf("--rounds %d", s.Rounds), "--learning-rate " + s.LearningRate.String(), fmt.Sprintf("--batch-size %d", s.BatchSize)}
	d := simulate.Defaults()
	add := func(given bool, flag, value string) {
		if given {
			words = append(words, strings.TrimSpace("--"+flag+" "+value))
		}
	}
	add(s.Model != d.Model, "model", s.Model)
	add(s.Epochs != d.Epochs, "epochs", strconv.Itoa(s.Epochs))
	add(s.Momentum != d.Momentum, "momentum", s.Momentum.String())
	add(s.Decay != d.Decay, "learning-rate-decay", s.Decay.String())
	add(s.Balance, "balance-classes", "")
	add(s.Augmentation != d.Augmentation, "augment", s.Augmentation.String())
	add(s.Strategy != d.Strategy, "strategy", s.Strategy)
	add(s.Masters != d.Masters, "masters", strconv.Itoa(s.Masters))
	add(s.Threshold != d.Threshold && s.Masters > 0, "threshold", s.Threshold.String())
	add(true, "seed", strconv.FormatInt(s.Seed, 10))
	return strings.Join(words, " ")
}
