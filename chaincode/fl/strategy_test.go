package fl_test

import (
	"strings"
	"testing"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/fl"
)

func TestStrategies(t *testing.T) {
	for text, good := range map[string]bool{
		"fedavg":                              true,
		"fedavg:clipping_norm=2.5":            true,
		"fedprox:proximal_mu=0.01":            true,
		"fedprox:proximal_mu=1e-05":           true,
		"fedavg:clipping_norm=1e+30":          true,
		"fedadam:eta=0.1,beta_1=0.9,tau=1e-9": true,
		"krum:num_malicious_nodes=1":          true,
		"multikrum:num_malicious_nodes=1,num_nodes_to_select=3,clipping_norm=4": true,
		"fedtrimmedavg:beta=0.499999":                                           true,
		"krum:num_malicious_nodes=1e2":                                          true,
		"":                                                                      false,
		"fedavg:":                                                               false,
		"FedAvg":                                                                false,
		"fedmagic":                                                              false,
		"fedavg:eta=1":                                                          false,
		"fedavg:clipping_norm":                                                  false,
		"fedavg:clipping_norm=":                                                 false,
		"fedavg:clipping_norm=1,":                                               false,
		"fedavg:clipping_norm=1,clipping_norm=1":                                false,
		"fedavg:clipping_norm=-1":                                               false,
		"fedavg:clipping_norm=+1":                                               false,
		"fedavg:clipping_norm=1.1e30":                                           false,
		"fedavg:clipping_norm=.5":                                               false,
		"fedavg:clipping_norm=5.":                                               false,
		"fedavg:clipping_norm=1/2":                                              false,
		"fedavg:clipping_norm=0x10":                                             false,
		"fedavg:clipping_norm=1_0":                                              false,
		"fedavg:clipping_norm=NaN":                                              false,
		"fedavg:clipping_norm=1e999":                                            false,
		"fedavg:clipping_norm=1e":                                               false,
		"fedavg:clipping_norm=1e+-2":                                            false,
		"fedavg:clipping_norm= 1":                                               false,
		"fedavg:clipping_norm=" + strings.Repeat("0", 41):                       false,
		"krum:num_malicious_nodes=1.5":                                          false,
		"krum:num_malicious_nodes=1000001":                                      false,
		"multikrum:num_nodes_to_select=0":                                       false,
		"fedtrimmedavg:beta=0.5":                                                false,
		"fedavgm:server_momentum=0.9,server_learning_rate=1":                    true,
		"fedavgm:server_momentum=1":                                             false,
		"fedadam:eta=0":                                                         false,
		"fedadam:beta_1=0.9999990000000000000000000000000001":                   false,
	} {
		err := fl.CheckStrategy(text)
		if good && err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if !good && (err == nil || codes.Of(err) != "MF-TERMS-STRATEGY") {
			t.Errorf("%q gives %v, want MF-TERMS-STRATEGY", text, err)
		}
	}
}

func TestOnlyServerOptimisersGlobalModelsDifferInSize(t *testing.T) {
	terms := validTerms()
	for strategy, want := range map[string][2]int64{
		"fedavg":                   {100_000, 100_000},
		"fedprox:proximal_mu=0.01": {100_000, 100_000},
		"fedadam":                  {100_001, 400_000},
		"fedadam:eta=0.01":         {100_001, 400_000},
		"fedavgm":                  {100_001, 400_000},
	} {
		terms.Strategy = strategy
		if least, most := fl.GlobalSizes(terms); least != want[0] || most != want[1] {
			t.Errorf("%s: a global model has %d to %d bytes, want %d to %d", strategy, least, most, want[0], want[1])
		}
	}
}
