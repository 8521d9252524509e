package node

import (
	"reflect"
	"testing"

	"github.com/medfed/medfed/chaincode/fl"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// TestInput: what the ledger holds of an Input is all of it, and terms without one mean
// what they meant before.
func TestInput(t *testing.T) {
	for _, in := range []dataset.Input{
		{},
		dataset.ImageNet,
		{Window: dataset.Window{Low: -1024, High: 3071.5}, OwnWindow: true, Inverted: true, Mean: []float64{0.1}, Std: []float64{0.333333}, Fit: dataset.FitCrop},
	} {
		want := in.Whole(3)
		terms := fl.Terms{Model: model.HMChainCNN, Channels: 3, Input: InputOnLedger(want)}
		if got := Input(terms); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v", want, got)
		}
	}
	if got := Input(fl.Terms{Model: model.VGG16, Channels: 3, ImageSize: 224, Classes: 2}); !reflect.DeepEqual(got, dataset.ImageNet.Whole(3)) {
		t.Errorf("a head's older terms: %+v", got)
	}
	if got := Input(fl.Terms{Model: model.HMChainCNN, Channels: 1, ImageSize: 28, Classes: 2}); !reflect.DeepEqual(got, dataset.Input{}.Whole(1)) {
		t.Errorf("a CNN's older terms: %+v", got)
	}
}

// TestFitsAreTheTrainers: the ledger knows the fits that the trainer has, by the same names.
func TestFitsAreTheTrainers(t *testing.T) {
	var names []string
	for _, fit := range dataset.Fits() {
		names = append(names, string(fit))
	}
	if !reflect.DeepEqual(names, fl.Fits()) {
		t.Errorf("%q and %q", names, fl.Fits())
	}
}
