// Command reproduce runs the experiments of the two papers that medfed implements
// and writes their tables and figures, with the papers' numbers beside:
//
//	go run ./client/reproduce [-quick] [-out FOLDER]
//
// Hu et al., "FL-HMChain": Table 3 (VGG16, CNN, federated CNN) and Table 4 (learning
// rates, batch sizes) on MedMNIST's sets. Salim & Park, "Federated learning-based
// secure electronic health record sharing scheme": Table II and Figs. 3 and 4 on a
// folder of X-rays.
//
// Every run is kept when it ends, and long ones after every round, so that the
// command can be stopped and given again. Small runs come first, and the pages are
// written anew after each. What the data, or missing pre-trained weights, can't
// support is said beside the number.
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
	"strings"
	"syscall"
	"time"

	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// xrayVariable is the environment variable that names the folder of X-rays.
const xrayVariable = "MEDFED_XRAY"

// options are what a person can choose.
type options struct {
	out        string // folder of the pages
	work       string // folder of finished runs, checkpoints and features
	quick      bool
	pages      bool
	offline    bool
	data       string // folder of .npz files
	sets       []string
	xray       string
	seeds      int
	rounds     int // of Hu et al.; 50 in the paper
	xrayRounds int
	frozen     int // most images of a set that go through VGG16
	weights    map[string]string
}

func main() {
	o := options{weights: map[string]string{}}
	sets, vgg, resnet := "", "", ""
	flag.StringVar(&o.out, "out", "docs/results", "folder of the tables and plots")
	flag.StringVar(&o.work, "work", ".run/reproduce", "folder of finished runs, checkpoints and features")
	flag.BoolVar(&o.quick, "quick", false, "a few rounds on BreastMNIST and 16 X-rays of each kind, written to WORK/quick: shows that everything runs")
	flag.BoolVar(&o.pages, "pages", false, "run nothing; write the pages from what is finished")
	flag.BoolVar(&o.offline, "offline", false, "do not download a set that is not on this machine")
	flag.StringVar(&o.data, "data-folder", os.Getenv(dataset.FolderVariable), "folder of .npz files (or "+dataset.FolderVariable+")")
	flag.StringVar(&sets, "sets", "breastmnist,pneumoniamnist,organamnist,tissuemnist", "MedMNIST sets, in the order they are run")
	flag.StringVar(&o.xray, "xray-folder", os.Getenv(xrayVariable), "folder of X-rays with the classes covid and normal (or "+xrayVariable+")")
	flag.IntVar(&o.seeds, "seeds", 3, "runs of every setting, with seeds from 1 on")
	flag.IntVar(&o.rounds, "rounds", 50, "rounds of the federated runs on MedMNIST")
	flag.IntVar(&o.xrayRounds, "xray-rounds", 100, "rounds, and centralised epochs, on the X-rays")
	flag.IntVar(&o.frozen, "vgg16-images", 1000, "most images of a MedMNIST set that go through VGG16")
	flag.StringVar(&vgg, "vgg16", "", "torchvision's vgg16 weights, .safetensors or .pth; without them the backbone is random")
	flag.StringVar(&resnet, "resnet50", "", "torchvision's resnet50 weights")
	flag.Parse()
	o.sets = strings.Split(sets, ",")
	o.weights[model.VGG16], o.weights[model.ResNet50] = vgg, resnet
	if o.quick {
		o.out, o.sets, o.seeds, o.rounds, o.xrayRounds, o.frozen = filepath.Join(o.work, "quick"), []string{"breastmnist"}, 1, 3, 5, 0
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

// reproduce runs everything, the small first.
func reproduce(ctx context.Context, o options) error {
	b, err := openBook(o)
	if err != nil {
		return err
	}
	if err := b.salimPark(ctx); err != nil {
		return err
	}
	if err := b.hu(ctx); err != nil {
		return err
	}
	return b.write()
}

// book is all that has been found out so far.
type book struct {
	options options
	store   store
	sets    []*huSet
	xray    *xray
	notes   []string // what could not be run, and why
}

func openBook(o options) (*book, error) {
	b := &book{options: o, store: store{folder: filepath.Join(o.work, "runs"), commit: commit(), only: o.pages}}
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

// say tells a person how it comes along.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}
