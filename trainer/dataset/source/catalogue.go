// Package source knows which data sets there are and brings their files onto this
// machine: it looks into the user's folder and the cache, downloads, and compares
// checksums. It reads nothing of a file's content and is quick to compile, so that
// data can be found before anything else is built.
package source

import (
	"strings"

	"github.com/medfed/medfed/chaincode/codes"
)

// FolderVariable is the environment variable that names a folder of data sets,
// for [Options].Folder. This package does not read it by itself.
const FolderVariable = "MEDFED_DATA"

const (
	// Preferred is the set that is taken where none is named.
	Preferred = "pneumoniamnist"
	// Synthetic is the name of the set that is made, not measured.
	Synthetic = "synthetic"
)

// Task is what a set asks of a classifier.
type Task string

// The tasks of MedMNIST's 2D sets.
const (
	TaskBinary     Task = "binary-class"
	TaskMultiClass Task = "multi-class"
	TaskOrdinal    Task = "ordinal-regression"        // grades 0, 1, 2…: taken as classes
	TaskMultiLabel Task = "multi-label, binary-class" // refused by Load
)

// Info is what is known of a set without its file.
type Info struct {
	Name     string
	Task     Task
	Channels int
	Size     int      // height and width in pixels
	Classes  []string // what the labels mean, from 0 on
	// Train, Validation and Test are the numbers of images.
	Train, Validation, Test int
	MD5                     string // of the .npz file; "" for the synthetic set
	URL                     string // official address; "" for the synthetic set
	Licence                 string // as MedMNIST states it; "" for the synthetic set
}

// zenodo is where MedMNIST v2 is published (Yang et al., Scientific Data 10:41,
// 2023, doi 10.1038/s41597-022-01721-8).
const zenodo = "https://zenodo.org/records/10519652/files/"

// sets is the 2D, 28x28 part of medmnist/info.py of MedMNIST v3.0.2
// (github.com/MedMNIST/MedMNIST at 805b74237fb5bd2db376fd94e50646b6a8905d9d).
var sets = []Info{
	medmnist("bloodmnist", TaskMultiClass, 3, 11959, 1712, 3421, "7053d0359d879ad8a5505303e11de1dc", "CC BY 4.0"),
	medmnist("breastmnist", TaskBinary, 1, 546, 78, 156, "750601b1f35ba3300ea97c75c52ff8f6", "CC BY 4.0"),
	medmnist("chestmnist", TaskMultiLabel, 1, 78468, 11219, 22433, "02c8a6516a18b556561a56cbdd36c4a8", "CC BY 4.0"),
	medmnist("dermamnist", TaskMultiClass, 3, 7007, 1003, 2005, "0744692d530f8e62ec473284d019b0c7", "CC BY-NC 4.0"),
	medmnist("octmnist", TaskMultiClass, 1, 97477, 10832, 1000, "c68d92d5b585d8d81f7112f81e2d0842", "CC BY 4.0"),
	medmnist("organamnist", TaskMultiClass, 1, 34561, 6491, 17778, "68e3f8846a6bd62f0c9bf841c0d9eacc", "CC BY 4.0"),
	medmnist("organcmnist", TaskMultiClass, 1, 12975, 2392, 8216, "b9ceb9546e10131b32923c5bbeaea2b1", "CC BY 4.0"),
	medmnist("organsmnist", TaskMultiClass, 1, 13932, 2452, 8827, "9ab87b696fb54e2a387ebe992d6ed5f1", "CC BY 4.0"),
	medmnist("pathmnist", TaskMultiClass, 3, 89996, 10004, 7180, "a8b06965200029087d5bd730944a56c1", "CC BY 4.0"),
	medmnist("pneumoniamnist", TaskBinary, 1, 4708, 524, 624, "28209eda62fecd6e6a2d98b1501bb15f", "CC BY 4.0"),
	medmnist("retinamnist", TaskOrdinal, 3, 1080, 120, 400, "bd4c0672f1bba3e3a89f0e4e876791e4", "CC BY 4.0"),
	medmnist("tissuemnist", TaskMultiClass, 1, 165466, 23640, 47280, "ebe78ee8b05294063de985d821c1c34b", "CC BY 4.0"),
	{Name: Synthetic, Task: TaskBinary, Channels: 1, Size: 28, Classes: classes[Preferred], Train: 4708, Validation: 524, Test: 624},
}

// classes are the names of the labels, from the same file. organs are those of three sets.
var classes = map[string][]string{
	"bloodmnist":     {"basophil", "eosinophil", "erythroblast", "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)", "lymphocyte", "monocyte", "neutrophil", "platelet"},
	"breastmnist":    {"malignant", "normal, benign"},
	"chestmnist":     {"atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"},
	"dermamnist":     {"actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"},
	"octmnist":       {"choroidal neovascularization", "diabetic macular edema", "drusen", "normal"},
	"organamnist":    organs,
	"organcmnist":    organs,
	"organsmnist":    organs,
	"pathmnist":      {"adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa", "cancer-associated stroma", "colorectal adenocarcinoma epithelium"},
	"pneumoniamnist": {"normal", "pneumonia"},
	"retinamnist":    {"0", "1", "2", "3", "4"},
	"tissuemnist":    {"Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells", "Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments", "Thick Ascending Limb"},
}

var organs = []string{"bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left", "lung-right", "pancreas", "spleen"}

func medmnist(name string, task Task, channels, train, validation, test int, md5, licence string) Info {
	return Info{
		Name: name, Task: task, Channels: channels, Size: 28, Classes: classes[name],
		Train: train, Validation: validation, Test: test,
		MD5: md5, URL: zenodo + name + ".npz?download=1", Licence: licence,
	}
}

// Names lists the sets: MedMNIST's in alphabetical order, then the synthetic one.
func Names() []string {
	names := make([]string, len(sets))
	for i, info := range sets {
		names[i] = info.Name
	}
	return names
}

// Lookup is what is known of the set of that name; the error is MF-DATA-UNKNOWN.
func Lookup(name string) (Info, error) {
	for _, info := range sets {
		if info.Name == name {
			return info, nil
		}
	}
	return Info{}, codes.Errorf("MF-DATA-UNKNOWN", "there is no data set %q; choose one of %s", name, strings.Join(Names(), ", "))
}
