package dataset

import (
	"os"
	"unsafe"

	"github.com/medfed/medfed/chaincode/codes"
)

// inMemory is how many bytes of images, of a folder or of MedMNIST, are held in memory where
// [FolderOptions.InMemory] does not say.
const inMemory = 32 << 20

// row is the values of one example: in memory or, where there is a file, in that.
type row struct {
	values []float32
	file   *os.File
	length int   // of what the file holds
	at     int64 // the byte of the file with which it begins
}

// len is the number of values.
func (r row) len() int {
	if r.file != nil {
		return r.length
	}
	return len(r.values)
}

// read gives the values. Those of a file are brought into room, which has their length.
func (r row) read(room []float32) ([]float32, error) {
	if r.file == nil {
		return r.values, nil
	}
	room = room[:r.length]
	if _, err := r.file.ReadAt(bytesOf(room), r.at); err != nil {
		return nil, codes.Wrapf("MF-DATA-FOLDER", "decoded images cannot be read back: %w; see to the disk of the folder that TMPDIR names, and begin again", err)
	}
	return room, nil
}

// write brings values to the row's place.
func (r row) write(values []float32) error {
	if r.file == nil {
		copy(r.values, values)
		return nil
	}
	if _, err := r.file.WriteAt(bytesOf(values), r.at); err != nil {
		return codes.Wrapf("MF-DATA-FOLDER", "decoded images cannot be put aside: %w; let TMPDIR name a folder on a disk with room for them", err)
	}
	return nil
}

// bytesOf is the memory of values. The file is read by the process that wrote it, so that
// the order of bytes is the machine's.
func bytesOf(values []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 4*len(values))
}

// nameless makes a file that goes when the last row of it does, or the process ends.
func nameless() (*os.File, error) {
	file, err := os.CreateTemp("", "medfed-images-")
	if err == nil {
		err = os.Remove(file.Name())
	}
	if err != nil {
		return nil, codes.Wrapf("MF-DATA-FOLDER", "decoded images cannot be put aside: %w; let TMPDIR name a folder on a disk with room for them", err)
	}
	return file, nil
}
