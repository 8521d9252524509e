package main

import "github.com/medfed/medfed/chaincode/fl"

// published is a number pair of a paper: AUC and accuracy.
type published struct{ auc, accuracy float64 }

// table3 is Table 3 of Hu et al.
var table3 = map[string]map[string]published{
	"VGG16":          {"pneumoniamnist": {0.541, 0.625}, "breastmnist": {0.500, 0.731}, "tissuemnist": {0.495, 0.321}, "organamnist": {0.469, 0.185}},
	"CNN":            {"pneumoniamnist": {0.920, 0.837}, "breastmnist": {0.776, 0.731}, "tissuemnist": {0.861, 0.504}, "organamnist": {0.976, 0.808}},
	"FL-CNN-HMChain": {"pneumoniamnist": {0.960, 0.875}, "breastmnist": {0.875, 0.795}, "tissuemnist": {0.896, 0.620}, "organamnist": {0.989, 0.868}},
}

// paperTrain is how many training images Hu et al. count (section 5.2).
var paperTrain = map[string]int{"pneumoniamnist": 4708, "breastmnist": 546, "tissuemnist": 165_466, "organamnist": 34_581}

// table4Rates and table4Batches are Table 4 of Hu et al.
var (
	table4Rates = map[string]map[fl.Micro]published{
		"pneumoniamnist": {100_000: {0.960, 0.875}, 10_000: {0.953, 0.825}, 1000: {0.931, 0.777}, 100: {0.497, 0.625}},
		"breastmnist":    {100_000: {0.875, 0.795}, 10_000: {0.825, 0.788}, 1000: {0.737, 0.731}, 100: {0.594, 0.731}},
		"tissuemnist":    {100_000: {0.896, 0.620}, 10_000: {0.890, 0.606}, 1000: {0.867, 0.563}, 100: {0.773, 0.451}},
		"organamnist":    {100_000: {0.989, 0.868}, 10_000: {0.986, 0.839}, 1000: {0.881, 0.486}, 100: {0.706, 0.291}},
	}
	table4Batches = map[string]map[int]published{
		"pneumoniamnist": {32: {0.959, 0.827}, 64: {0.965, 0.853}, 128: {0.960, 0.875}, 256: {0.956, 0.857}},
		"breastmnist":    {32: {0.820, 0.769}, 64: {0.820, 0.769}, 128: {0.875, 0.795}, 256: {0.817, 0.744}},
		"tissuemnist":    {32: {0.875, 0.588}, 64: {0.878, 0.598}, 128: {0.896, 0.620}, 256: {0.898, 0.614}},
		"organamnist":    {32: {0.987, 0.855}, 64: {0.989, 0.868}, 128: {0.989, 0.868}, 256: {0.989, 0.872}},
	}
)

// table2 is Table II of Salim & Park: accuracy, sensitivity and specificity in
// percent, of decentralised (DL) and centralised (CL) learning.
var table2 = map[string]struct{ federated, centralised [3]float64 }{
	"vgg16":    {[3]float64{93.18, 94.86, 92.89}, [3]float64{92.34, 95.44, 92.62}},
	"resnet50": {[3]float64{94.28, 96.37, 93.74}, [3]float64{94.48, 95.1, 93.93}},
}

// resnet18 is the centralised ResNet-18 on images of 28 pixels in the paper of the
// data sets: Yang et al., "MedMNIST v2", Scientific Data 10:41 (2023).
var resnet18 = map[string]published{
	"pneumoniamnist": {0.944, 0.854}, "breastmnist": {0.901, 0.863}, "tissuemnist": {0.930, 0.676}, "organamnist": {0.997, 0.935},
}
