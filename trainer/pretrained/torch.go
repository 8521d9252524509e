package pretrained

import (
	"archive/zip"
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/medfed/medfed/trainer/weights"
)

// storages are PyTorch's classes of storages, by the type of their numbers.
var storages = map[global]struct {
	name string
	size int
}{
	"torch.FloatStorage": {"F32", 4}, "torch.DoubleStorage": {"F64", 8}, "torch.HalfStorage": {"F16", 2}, "torch.BFloat16Storage": {"BF16", 2},
	"torch.LongStorage": {"I64", 8}, "torch.IntStorage": {"I32", 4}, "torch.ShortStorage": {"I16", 2}, "torch.CharStorage": {"I8", 1},
	"torch.ByteStorage": {"U8", 1}, "torch.BoolStorage": {"BOOL", 1},
}

// functions are what a state dict's pickle may call. None has an effect.
var functions = map[global]func(tuple) (any, error){
	"collections.OrderedDict":         orderedDict,
	"torch.Size":                      size,
	"torch._utils._rebuild_tensor":    rebuildTensor,
	"torch._utils._rebuild_tensor_v2": rebuildTensor,
	"torch._utils._rebuild_parameter": rebuildParameter,
}

var errArguments = errors.New("its arguments are not those of PyTorch")

// orderedDict is OrderedDict() or OrderedDict([[key, value], …]).
func orderedDict(arguments tuple) (any, error) {
	d := newDict()
	if len(arguments) == 0 {
		return d, nil
	}
	pairs, ok := arguments[0].(*list)
	if !ok || len(arguments) > 1 {
		return nil, errArguments
	}
	for _, pair := range pairs.items {
		switch p := pair.(type) {
		case *list:
			if len(p.items) != 2 {
				return nil, errArguments
			}
			d.set(p.items[0], p.items[1])
		case tuple:
			if len(p) != 2 {
				return nil, errArguments
			}
			d.set(p[0], p[1])
		default:
			return nil, errArguments
		}
	}
	return d, nil
}

func size(arguments tuple) (any, error) {
	if len(arguments) != 1 {
		return nil, errArguments
	}
	switch shape := arguments[0].(type) {
	case tuple:
		return shape, nil
	case *list:
		return tuple(shape.items), nil
	}
	return nil, errArguments
}

// named is a storage together with the name of its numbers' type.
type named struct {
	storage
	name string
}

// rebuildTensor is (storage, offset, size, stride, …): a view of a storage. It must
// lie within the storage and not be larger.
func rebuildTensor(arguments tuple) (any, error) {
	if len(arguments) < 4 {
		return nil, errArguments
	}
	s, isStorage := arguments[0].(named)
	offset, isInt := arguments[1].(int)
	shape, err := integers(arguments[2])
	stride, strideErr := integers(arguments[3])
	if !isStorage || !isInt || err != nil || strideErr != nil || len(shape) != len(stride) {
		return nil, errArguments
	}
	t := &tensor{Tensor: Tensor{Type: s.name, Shape: shape}, storage: s.storage, offset: offset, stride: stride}
	return t, t.check()
}

// check reports whether the tensor lies within its storage.
func (t *tensor) check() error {
	outside := fmt.Errorf("a tensor of shape %v, stride %v and offset %d does not lie within its storage of %d numbers", t.Shape, t.stride, t.offset, t.storage.values)
	count, last := 1, t.offset
	if last < 0 || last >= t.storage.values {
		return outside
	}
	for i, d := range t.Shape {
		stride := t.stride[i]
		if d < 1 || stride < 0 || d > t.storage.values/count || stride > 0 && d-1 > (t.storage.values-1-last)/stride {
			return outside
		}
		count *= d
		last += (d - 1) * stride
	}
	return nil
}

// integers are those of a tuple: a shape or strides.
func integers(v any) ([]int, error) {
	items, ok := v.(tuple)
	if !ok || len(items) > 8 {
		return nil, errArguments
	}
	all := make([]int, len(items))
	for i, item := range items {
		if all[i], ok = item.(int); !ok {
			return nil, errArguments
		}
	}
	return all, nil
}

// rebuildParameter is (tensor, …): the tensor.
func rebuildParameter(arguments tuple) (any, error) {
	if len(arguments) > 0 {
		if t, ok := arguments[0].(*tensor); ok {
			return t, nil
		}
	}
	return nil, errArguments
}

// storageID is what a pickle says of a storage: ("storage", class, key, location,
// numbers), and in older files a view, which is none in any file since 2017.
func storageID(id tuple) (s named, key string, err error) {
	refused := malformed("its pickle refers to a storage in a way PyTorch does not")
	if len(id) < 5 || len(id) > 6 || id[0] != "storage" || len(id) == 6 && id[5] != nil {
		return s, "", refused
	}
	class, isClass := id[1].(global)
	key, isKey := id[2].(string)
	values, isCount := id[4].(int)
	kind, known := storages[class]
	if !isClass || !isKey || !isCount || !known || values < 0 {
		return s, "", refused
	}
	s.name, s.values, s.number = kind.name, values, numbers[kind.name]
	s.number.size = kind.size
	return s, key, nil
}

// listZip lists the tensors of a file of torch.save since version 1.6: a zip
// archive, not compressed, of one folder with the pickle data.pkl and the storages
// data/0, data/1 and so on.
func listZip(r io.ReaderAt, size int64) ([]tensor, error) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return nil, malformed("its zip archive can't be read: %v", err)
	}
	records, folder, err := members(archive)
	if err != nil {
		return nil, err
	}
	pickled, err := records[folder+"/data.pkl"].Open()
	if err != nil {
		return nil, malformed("its pickle can't be read: %v", err)
	}
	defer pickled.Close()
	value, _, err := unpickle(bufio.NewReader(pickled), func(id tuple) (any, error) {
		s, key, err := storageID(id)
		if err != nil {
			return nil, err
		}
		record := records[folder+"/data/"+key]
		if record == nil || int64(s.values) > size || record.UncompressedSize64 != uint64(s.values*s.number.size) {
			return nil, malformed("its storage %.50q is not there, or not of %d numbers", key, s.values)
		}
		s.open = record.Open
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return stateDict(value)
}

// members are an archive's files by name, and the folder they lie in.
func members(archive *zip.Reader) (map[string]*zip.File, string, error) {
	records, folder := map[string]*zip.File{}, ""
	for _, f := range archive.File {
		if f.Method != zip.Store || f.CompressedSize64 != f.UncompressedSize64 {
			return nil, "", malformed("its zip archive is compressed, which torch.save's never is")
		}
		if records[f.Name] != nil {
			return nil, "", malformed("its zip archive has %.50q twice", f.Name)
		}
		records[f.Name] = f
		switch directory, name := path.Split(f.Name); name {
		case "data.pkl":
			folder = path.Clean(directory)
		case "constants.pkl":
			return nil, "", malformed("it is a TorchScript program")
		}
	}
	if folder == "" {
		return nil, "", malformed("its zip archive has no data.pkl")
	}
	if f := records[folder+"/byteorder"]; f != nil {
		if order, err := readAll(f); err != nil || order != "little" {
			return nil, "", malformed("its numbers are not little-endian")
		}
	}
	return records, folder, nil
}

// readAll reads a short member.
func readAll(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 16))
	return string(b), err
}

// What a file of torch.save from before version 1.6 begins with.
const (
	legacyMagic    = longInt("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19")
	legacyProtocol = 1001
)

// listLegacy lists the tensors of a file of torch.save before version 1.6: pickles
// of a magic number, a protocol version, the writer's system, the state dict and
// the keys of the storages, and then the storages in that order, each with its
// number of numbers before it.
func listLegacy(r io.ReaderAt, size int64) ([]tensor, error) {
	buffered := bufio.NewReader(io.NewSectionReader(r, 0, size))
	var position int64
	next := func(persistent func(tuple) (any, error)) (any, error) {
		value, n, err := unpickle(buffered, persistent)
		position += n
		return value, err
	}
	if err := legacyPreamble(next); err != nil {
		return nil, err
	}
	places := map[string]*place{}
	value, err := next(func(id tuple) (any, error) {
		s, key, err := storageID(id)
		if err != nil {
			return nil, err
		}
		if places[key] == nil {
			places[key] = &place{bytes: int64(s.values) * int64(s.number.size), values: s.values}
		}
		at := places[key]
		if at.values != s.values || int64(s.values) > size {
			return nil, malformed("its storage %.50q has two sizes, or more numbers than the file has bytes", key)
		}
		s.open = func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(r, at.begin, at.bytes)), nil }
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	keys, err := next(nil)
	if err != nil {
		return nil, err
	}
	if err := locate(r, keys, places, position, size); err != nil {
		return nil, err
	}
	return stateDict(value)
}

// legacyPreamble checks the three pickles before the state dict.
func legacyPreamble(next func(func(tuple) (any, error)) (any, error)) error {
	magic, err := next(nil)
	if err != nil {
		return err
	}
	if magic != legacyMagic {
		return malformed("it is a pickle, and none of torch.save")
	}
	protocol, err := next(nil)
	if err == nil && protocol != legacyProtocol {
		err = malformed("it is of torch.save's protocol %v, and %d is known", protocol, legacyProtocol)
	}
	if err != nil {
		return err
	}
	system, err := next(nil)
	if err != nil {
		return err
	}
	if d, ok := system.(*dict); !ok || d.values["little_endian"] != true {
		return malformed("its numbers are not little-endian")
	}
	return nil
}

// place is where a storage of an old file lies.
type place struct {
	begin, bytes int64
	values       int
}

// locate finds out where the storages lie, which follow one another from position.
func locate(r io.ReaderAt, keys any, places map[string]*place, position, size int64) error {
	order, ok := keys.(*list)
	if !ok || len(order.items) != len(places) {
		return malformed("its list of storages is not that of its tensors")
	}
	for _, key := range order.items {
		name, _ := key.(string)
		at := places[name]
		var count [8]byte
		if at == nil || at.begin != 0 {
			return malformed("its list of storages is not that of its tensors")
		}
		if _, err := r.ReadAt(count[:], position); err != nil {
			return malformed("it ends before its storages do")
		}
		if binary.LittleEndian.Uint64(count[:]) != uint64(at.values) {
			return malformed("its storage %.50q has not the %d numbers that its pickle gives it", name, at.values)
		}
		at.begin = position + 8
		position = at.begin + at.bytes
		if position > size {
			return malformed("it ends before its storages do")
		}
	}
	return nil
}

// nested are the keys under which checkpoints keep their state dict.
var nested = []string{"state_dict", "model_state_dict", "model"}

// stateDict takes the tensors of a state dict, or of a checkpoint's.
func stateDict(value any) ([]tensor, error) {
	d, ok := value.(*dict)
	if !ok {
		return nil, malformed("it holds no state dict")
	}
	tensors, err := d.tensors()
	for _, key := range nested {
		if inner, ok := d.values[key].(*dict); ok && len(tensors) == 0 && err == nil {
			tensors, err = inner.tensors()
		}
	}
	if err == nil && len(tensors) == 0 {
		err = malformed("it holds no tensors by name")
	}
	return tensors, err
}

// tensors are the dictionary's tensors in order.
func (d *dict) tensors() ([]tensor, error) {
	var all []tensor
	for _, name := range d.keys {
		if t, ok := d.values[name].(*tensor); ok {
			if err := weights.CheckName(name); err != nil {
				return nil, err
			}
			view := *t
			view.Name = name
			all = append(all, view)
		}
	}
	return all, nil
}
