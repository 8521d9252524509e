// Command reproduce runs the experiments of the two papers that medfed implements
// and writes their tables and figures, with the papers' numbers beside:
//
//	go run ./client/reproduce [-quick] [-plan] [-only PATTERN] [-out FOLDER]
//
// Hu et al., "FL-HMChain": Table 3 (VGG16, CNN, federated CNN) and Table 4 (learning
// rates, batch sizes) on MedMNIST's sets, and the paper's own setting over five seeds.
// Salim & Park, "Federated learning-based secure electronic health record sharing
// scheme": Table II and Figs. 3 and 4 on a folder of X-rays.
//
// The plan is printed first, with what it is thought to take. Every run is kept when
// it ends, and federated ones on MedMNIST after every round, so that the command can
// be stopped and given again. The pages are written anew after each run. What the
// data, or missing pre-trained weights, can't support is said beside the number.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// xrayVariable is the environment variable that names the folder of X-rays.
const xrayVariable = "MEDFED_XRAY"

// options are what a person can choose.
type options struct {
	out        string // folder of the pages
	work       string // folder of finished runs and checkpoints
	features   string // folder of the backbones' features
	quick      bool
	pages      bool
	plan       bool
	only       *regexp.Regexp // of the names of runs
	offline    bool
	data       string // folder of .npz files
	sets       []string
	xray       string
	seeds      int
	paperSeeds int // of the paper's own setting
	headSeeds  int // of the heads on the X-rays
	rounds     int // of Hu et al.; 50 in the paper
	xrayRounds int
	frozen     int // most images of a set that go through VGG16
	weights    map[string]string
}

func main() {
	o, err := parse(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "reproduce:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := reproduce(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "reproduce:", err)
		if errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "what is finished is kept; give the command again to go on")
			os.Exit(130)
		}
		os.Exit(1)
	}
}

// parse reads the flags.
func parse(flags *flag.FlagSet, arguments []string) (options, error) {
	o := options{}
	sets, vgg, resnet, only := "", "", "", ""
	flags.StringVar(&o.out, "out", "docs/results", "folder of the tables and plots")
	flags.StringVar(&o.work, "work", ".run/reproduce", "folder of finished runs, checkpoints and features")
	flags.BoolVar(&o.quick, "quick", false, "a few rounds on BreastMNIST and 32 X-rays, all kept and written under WORK/quick: shows that everything runs")
	flags.BoolVar(&o.pages, "pages", false, "run nothing; write the pages from what is finished")
	flags.BoolVar(&o.plan, "plan", false, "run and write nothing; print what would be run, and what it is thought to take")
	flags.StringVar(&only, "only", "", "run only what has a name that this regular expression matches; -plan prints the names")
	flags.BoolVar(&o.offline, "offline", false, "do not download a set that is not on this machine")
	flags.StringVar(&o.data, "data-folder", os.Getenv(dataset.FolderVariable), "folder of .npz files (or "+dataset.FolderVariable+")")
	flags.StringVar(&sets, "sets", "breastmnist,pneumoniamnist,organamnist,tissuemnist", "MedMNIST sets")
	flags.StringVar(&o.xray, "xray-folder", os.Getenv(xrayVariable), "folder of X-rays with the classes covid and normal (or "+xrayVariable+")")
	flags.IntVar(&o.seeds, "seeds", 3, "runs of every setting, with seeds from 1 on")
	flags.IntVar(&o.paperSeeds, "paper-seeds", 5, "runs of the paper's own federated setting, plain and with the additions")
	flags.IntVar(&o.headSeeds, "head-seeds", 5, "runs of the heads on the X-rays")
	flags.IntVar(&o.rounds, "rounds", 50, "rounds of the federated runs on MedMNIST")
	flags.IntVar(&o.xrayRounds, "xray-rounds", 100, "rounds, and centralised epochs, on the X-rays")
	flags.IntVar(&o.frozen, "vgg16-images", 10_000, "most images of a MedMNIST set that go through VGG16")
	flags.StringVar(&vgg, "vgg16", "", "torchvision's vgg16 weights, .safetensors or .pth; without them the backbone is random")
	flags.StringVar(&resnet, "resnet50", "", "torchvision's resnet50 weights")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("there is no argument %q; -help lists the flags", flags.Arg(0))
	}
	var err error
	if o.only, err = regexp.Compile(only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	o.sets, o.features = strings.Split(sets, ","), filepath.Join(o.work, "features")
	o.weights = map[string]string{model.VGG16: vgg, model.ResNet50: resnet}
	if o.quick {
		o.work = filepath.Join(o.work, "quick")
		o.out, o.sets, o.seeds, o.paperSeeds, o.headSeeds, o.rounds, o.xrayRounds = filepath.Join(o.work, "results"), []string{"breastmnist"}, 1, 1, 1, 3, 5
	}
	return o, nil
}

// reproduce runs what is not finished, the most telling first.
func reproduce(ctx context.Context, o options) error {
	b, err := openBook(o)
	if err != nil {
		return err
	}
	defer b.shown.close()
	if err := b.openSets(ctx); err != nil {
		return err
	}
	if err := b.openXRays(ctx); err != nil {
		return err
	}
	b.cells = inOrder(append(b.huCells(), b.xrayCells()...))
	todo, err := b.todo()
	if err != nil {
		return err
	}
	if !o.pages {
		b.printPlan(os.Stdout, todo)
	}
	if o.plan {
		return nil
	}
	if err := b.write(); err != nil || o.pages {
		return err
	}
	return b.runAll(ctx, todo)
}

// book is all that has been found out so far.
type book struct {
	options options
	store   store
	cells   []cell // all that the tables and plots ask for, in the order they are run
	sets    []*huSet
	xray    *xray           // nil without X-rays
	notes   []string        // what could not be run, and why
	drawn   map[string]bool // the plots that there are, by file name
	shown   *progress
}

func openBook(o options) (*book, error) {
	b := &book{options: o, store: store{folder: filepath.Join(o.work, "runs"), commit: commit()}, shown: newProgress(os.Stderr)}
	for _, folder := range []string{o.out, b.store.folder} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *book) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf(format, args...))
}

// commit names the revision of the sources, with a mark when they are changed.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	revision := strings.TrimSpace(string(head))
	if changed, err := exec.Command("git", "status", "--porcelain", "--untracked-files=no", "--", "trainer", "client", "chaincode").Output(); err != nil || len(changed) > 0 {
		revision += " with changes"
	}
	return revision
}
