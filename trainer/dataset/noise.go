package dataset

// noiseAmplitude is how far, in steps of a byte, one octave of value noise lies from
// grey. Five octaves then have about the deviation of photographs and X-rays, a sixth
// of the range.
const noiseAmplitude = 48

// ValueNoise draws count grey images of size × size pixels that show nothing: sums of
// octaves, each a grid of random values, twice as fine as the one before and smoothly
// enlarged, all equally strong (value noise; Ebert et al., Texturing and Modeling,
// 2003, chapter 2). Their neighbouring pixels are alike as those of any picture are,
// so that they can stand for pictures where nobody's may be looked at. The channels of
// a pixel are equal, all labels 0, and the images the same on every machine. All
// arithmetic is in integers. The numbers must be positive.
func ValueNoise(count, channels, size int) Split {
	r := newRandom(0, useNoise)
	pixels := make([]byte, 0, count*size*size*channels)
	for range count {
		for _, v := range noiseImage(r, size) {
			for range channels {
				pixels = append(pixels, byte(min(255, max(0, 128+v))))
			}
		}
	}
	return Split{Values: Input{}.numbered(pixels, channels), Labels: make([]int, count)}
}

// noiseImage sums up the octaves, the finest of which has less cells than pixels.
func noiseImage(r random, size int) []int {
	image := make([]int, size*size)
	for cells := 1; cells < size; cells *= 2 {
		corners := make([]int, (cells+1)*(cells+1))
		for i := range corners {
			corners[i] = r.between(-noiseAmplitude, noiseAmplitude)
		}
		enlarge(image, corners, size, cells)
	}
	return image
}

// enlarge adds to each pixel what lies there between the corners of its cell, in
// proportion to their distances.
func enlarge(image, corners []int, size, cells int) {
	for y := range size {
		top, down := y*cells/size*(cells+1), y*cells%size
		for x := range size {
			left, right := x*cells/size, x*cells%size
			between := func(row int) int {
				return corners[row+left]*(size-right) + corners[row+left+1]*right
			}
			image[y*size+x] += (between(top)*(size-down) + between(top+cells+1)*down) / (size * size)
		}
	}
}
