package model

import "fmt"

// The architectures, by name.
const (
	// HMChainCNN is the six-layer network of FL-HMChain: five 3×3 convolutions
	// (16, 16, 64, 64, 64 filters, the last padded by 1), each followed by batch
	// normalisation and ReLU, max-pooling 2×2 after the second and the fifth, and a
	// fully connected head of 128, 128 and as many outputs as classes.
	HMChainCNN = "hmchain-cnn"

	// HMChainEnsemble is five HMChainCNN side by side, whose probabilities are averaged.
	HMChainEnsemble = "hmchain-cnn-ensemble"

	// ResNet18 is the residual network of 18 layers (He et al., 2015) for images of
	// 28×28, as the authors of MedMNIST train it (Yang et al., "MedMNIST v2", 2023):
	// the stem is a 3×3 convolution with stride 1, without max-pooling.
	ResNet18 = "resnet18"

	// VGG16 and ResNet50 are the backbones of Salim & Park on images of 224×224:
	// the convolutional part of torchvision's vgg16 (Simonyan & Zisserman, 2014,
	// configuration D) and resnet50 (He et al., 2015, with the stride in the 3×3
	// convolution), each up to the mean of its last channels: 512 and 2048 features.
	// They stay as they are; what is trained is the head behind them: the features
	// normalised, dropout, 256 units, 64 units, as many outputs as classes.
	VGG16    = "vgg16"
	ResNet50 = "resnet50"
)

// architecture is what is fixed by a name.
type architecture struct {
	name             string
	channels         []int          // that an image may have
	minSize, maxSize int            // of an image's height and width
	layers           func() []layer // up to the last hidden layer; all are learned
	output           string         // name of the last layer, a linear one of as many outputs as classes
	backbone         func() []layer // frozen layers in front of them; nil for none
	member           string         // of an ensemble: the architecture of its members, which has the layers
	members          int            // and how many they are; 0 for what is no ensemble
}

var architectures = []architecture{
	// Below 16 pixels nothing is left of hmchain-cnn after the last pooling.
	{name: HMChainCNN, channels: []int{1, 3}, minSize: 16, maxSize: 64, layers: hmchain, output: "classifier.4"},
	{name: HMChainEnsemble, channels: []int{1, 3}, minSize: 16, maxSize: 64, member: HMChainCNN, members: 5},
	{name: ResNet18, channels: []int{1, 3}, minSize: 16, maxSize: 64, layers: resnet18, output: "fc"},
	{name: VGG16, channels: []int{3}, minSize: 224, maxSize: 224, backbone: vgg16, layers: head, output: "head.5"},
	{name: ResNet50, channels: []int{3}, minSize: 224, maxSize: 224, backbone: resnet50, layers: head, output: "head.5"},
}

// Names are the names of the architectures.
func Names() []string {
	names := make([]string, 0, len(architectures))
	for _, a := range architectures {
		names = append(names, a.name)
	}
	return names
}

// lookup finds an architecture by name.
func lookup(name string) (architecture, bool) {
	for _, a := range architectures {
		if a.name == name {
			return a, true
		}
	}
	return architecture{}, false
}

func hmchain() []layer {
	var layers []layer
	index := 0
	add := func(l ...layer) { layers = append(layers, l...) }
	name := func(module string, skip int) string {
		index += skip
		return fmt.Sprintf("%s.%d", module, index-skip)
	}
	for _, stage := range []struct {
		filters, padding int
		pool             bool
	}{{16, 0, false}, {16, 0, true}, {64, 0, false}, {64, 0, false}, {64, 1, true}} {
		add(conv{name("features", 1), stage.filters, 3, 1, stage.padding, true}, norm{name("features", 2), true, stage.pool})
		if stage.pool {
			index++
		}
	}
	index = 0
	add(flatten{})
	for range 2 {
		add(linear{name("classifier", 2), 128}, relu{})
	}
	return layers
}

// convNorm is a convolution without bias and the batch normalisation behind it.
func convNorm(convName, normName string, filters, kernel, stride int, relu bool) []layer {
	return []layer{conv{convName, filters, kernel, stride, kernel / 2, false}, norm{normName, relu, false}}
}

// stages gives the four groups of residual blocks of a ResNet; block gives a
// block's body from its name, its width and its stride.
func stages(in, expansion int, depths [4]int, block func(name string, width, stride int) []layer) []layer {
	var layers []layer
	for stage, depth := range depths {
		width := 64 << stage
		for i := range depth {
			name := fmt.Sprintf("layer%d.%d", stage+1, i)
			stride := 1
			if i == 0 && stage > 0 {
				stride = 2
			}
			var shortcut []layer
			if out := width * expansion; stride > 1 || in != out {
				shortcut = convNorm(name+".downsample.0", name+".downsample.1", out, 1, stride, false)
				in = out
			}
			layers = append(layers, residual{block(name, width, stride), shortcut})
		}
	}
	return layers
}

func resnet18() []layer {
	layers := convNorm("conv1", "bn1", 64, 3, 1, true)
	layers = append(layers, stages(64, 1, [4]int{2, 2, 2, 2}, func(name string, width, stride int) []layer {
		return append(convNorm(name+".conv1", name+".bn1", width, 3, stride, true),
			convNorm(name+".conv2", name+".bn2", width, 3, 1, false)...)
	})...)
	return append(layers, globalPool{})
}

func resnet50() []layer {
	layers := append(convNorm("conv1", "bn1", 64, 7, 2, true), maxPool{3, 2, 1})
	layers = append(layers, stages(64, 4, [4]int{3, 4, 6, 3}, func(name string, width, stride int) []layer {
		body := convNorm(name+".conv1", name+".bn1", width, 1, 1, true)
		body = append(body, convNorm(name+".conv2", name+".bn2", width, 3, stride, true)...)
		return append(body, convNorm(name+".conv3", name+".bn3", 4*width, 1, 1, false)...)
	})...)
	return append(layers, globalPool{})
}

func vgg16() []layer {
	var layers []layer
	index, width := 0, 64
	for _, depth := range []int{2, 2, 3, 3, 3} {
		for range depth {
			layers = append(layers, conv{fmt.Sprintf("features.%d", index), width, 3, 1, 1, true}, relu{})
			index += 2
		}
		layers = append(layers, maxPool{2, 2, 0})
		index++
		width = min(2*width, 512)
	}
	return append(layers, globalPool{})
}

// head is what is trained behind a frozen backbone (Salim & Park), and in front of it
// what brings features of any size to one scale: without it no head learns from the large
// ones of a random backbone.
func head() []layer {
	return []layer{featureNorm{"norm"}, dropout{0.5}, linear{"head.1", 256}, relu{}, linear{"head.3", 64}, relu{}}
}
