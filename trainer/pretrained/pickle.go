package pretrained

import (
	"bufio"
	"encoding/binary"
	"github.com/medfed/medfed/chaincode/codes"
	"io"
	"math"
)

// Limits of a pickle. A state dict of a thousand tensors has 10^5 bytes and 10^4
// instructions.
const (
	maxPickle       = 8 << 20 // bytes
	maxInstructions = 1 << 20
)

// The instructions of Python's pickletools that a state dict can need, in any
// protocol from 2 to 5.
const (
	opMark            = '('
	opStop            = '.'
	opPop             = '0'
	opBinFloat        = 'G'
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opBinInt2         = 'M'
	opNone            = 'N'
	opBinPersID       = 'Q'
	opReduce          = 'R'
	opBinString       = 'T'
	opShortBinString  = 'U'
	opBinUnicode      = 'X'
	opAppend          = 'a'
	opBuild           = 'b'
	opGlobal          = 'c'
	opAppends         = 'e'
	opBinGet          = 'h'
	opLongBinGet      = 'j'
	opBinPut          = 'q'
	opLongBinPut      = 'r'
	opSetItem         = 's'
	opTuple           = 't'
	opSetItems        = 'u'
	opEmptyTuple      = ')'
	opEmptyList       = ']'
	opEmptyDict       = '}'
	opProto           = 0x80
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opNewTrue         = 0x88
	opNewFalse        = 0x89
	opLong1           = 0x8a
	opShortBinUnicode = 0x8c
	opStackGlobal     = 0x93
	opMemoize         = 0x94
	opFrame           = 0x95
)

// The values of a pickle besides nil, bool, int, float64, string and *tensor. A
// longInt is an integer of more than 64 bits, as its little-endian bytes.
type (
	tuple   []any
	list    struct{ items []any }
	global  string // module.name
	longInt string
	dict    struct {
		keys   []string // in order of first insertion; others than strings are left out
		values map[string]any
	}
)

func (d *dict) set(key, value any) {
	name, ok := key.(string)
	if !ok {
		return
	}
	if _, there := d.values[name]; !there {
		d.keys = append(d.keys, name)
	}
	d.values[name] = value
}

// unpickler runs one pickle. The first error ends it.
type unpickler struct {
	r          *bufio.Reader
	read       int64
	stack      []any
	marks      []int
	memo       map[uint32]any
	persistent func(id tuple) (any, error)
	err        error
}

// unpickle runs the pickle at r, and says how many bytes it has.
func unpickle(r *bufio.Reader, persistent func(id tuple) (any, error)) (value any, size int64, err error) {
	u := &unpickler{r: r, memo: map[uint32]any{}, persistent: persistent}
	for range maxInstructions {
		op := u.byte()
		if u.err == nil && op == opStop {
			value = u.pop()
			return value, u.read, u.err
		}
		u.step(op)
		if u.err != nil {
			return nil, u.read, u.err
		}
	}
	return nil, u.read, malformed("its pickle has more than %d instructions", maxInstructions)
}

func (u *unpickler) fail(format string, args ...any) {
	if u.err == nil {
		u.err = malformed(format, args...)
	}
}

// bytes reads n bytes, and none after an error.
func (u *unpickler) bytes(n uint64) []byte {
	if u.err == nil && n > uint64(maxPickle-u.read) {
		u.fail("its pickle has more than %d bytes", maxPickle)
	}
	if u.err != nil {
		return nil
	}
	// A damaged length costs no more than the file has.
	b, err := io.ReadAll(io.LimitReader(u.r, int64(n)))
	u.read += int64(len(b))
	if err != nil || uint64(len(b)) < n {
		u.fail("its pickle ends before it is complete")
		return nil
	}
	return b
}

func (u *unpickler) byte() byte {
	b, err := u.r.ReadByte()
	if err != nil || u.read >= maxPickle {
		u.fail("its pickle ends before it is complete, or has more than %d bytes", maxPickle)
		return 0
	}
	u.read++
	return b
}

func (u *unpickler) uint16() uint16 {
	if b := u.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (u *unpickler) uint32() uint32 {
	if b := u.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// line reads to the next line feed.
func (u *unpickler) line() string {
	var line []byte
	for u.err == nil {
		c := u.byte()
		if c == '\n' {
			break
		}
		line = append(line, c)
	}
	return string(line)
}

func (u *unpickler) push(v any) { u.stack = append(u.stack, v) }

// pop takes the top of the stack, down to the last mark.
func (u *unpickler) pop() any {
	floor := 0
	if len(u.marks) > 0 {
		floor = u.marks[len(u.marks)-1]
	}
	if len(u.stack) <= floor {
		u.fail("its pickle takes from an empty stack")
		return nil
	}
	v := u.stack[len(u.stack)-1]
	u.stack = u.stack[:len(u.stack)-1]
	return v
}

// popMark takes everything above the last mark.
func (u *unpickler) popMark() []any {
	if len(u.marks) == 0 {
		u.fail("its pickle looks for a mark it has not set")
		return nil
	}
	last := u.marks[len(u.marks)-1]
	u.marks = u.marks[:len(u.marks)-1]
	items := append([]any(nil), u.stack[last:]...)
	u.stack = u.stack[:last]
	return items
}

// popTuple takes n values as a tuple.
func (u *unpickler) popTuple(n int) tuple {
	t := make(tuple, n)
	for i := n - 1; i >= 0; i-- {
		t[i] = u.pop()
	}
	return t
}

func (u *unpickler) put(index uint32) {
	v := u.pop()
	u.push(v)
	u.memo[index] = v
}

func (u *unpickler) get(index uint32) {
	v, ok := u.memo[index]
	if !ok && u.err == nil {
		u.fail("its pickle recalls what it has not kept")
	}
	u.push(v)
}

// step runs one instruction.
func (u *unpickler) step(op byte) {
	switch op {
	case opProto:
		if v := u.byte(); v < 2 || v > 5 {
			u.fail("its pickle is of protocol %d; 2 to 5 are taken", v)
		}
	case opFrame:
		u.bytes(8) // what follows is read as it comes
	case opMark:
		u.marks = append(u.marks, len(u.stack))
	case opPop:
		u.pop()
	case opBinPut:
		u.put(uint32(u.byte()))
	case opLongBinPut:
		u.put(u.uint32())
	case opMemoize:
		u.put(uint32(len(u.memo)))
	case opBinGet:
		u.get(uint32(u.byte()))
	case opLongBinGet:
		u.get(u.uint32())
	case opGlobal:
		module := u.line()
		u.global(module, u.line())
	case opStackGlobal:
		name, _ := u.pop().(string)
		module, _ := u.pop().(string)
		u.global(module, name)
	case opReduce:
		arguments, ok := u.pop().(tuple)
		f, isGlobal := u.pop().(global)
		if !ok || !isGlobal {
			u.fail("its pickle calls what is no function")
			return
		}
		u.call(f, arguments)
	case opBuild:
		u.build()
	case opBinPersID:
		u.load()
	default:
		if !u.constant(op) && !u.collection(op) {
			u.fail("its pickle has the instruction 0x%02x, which no state dict needs", op)
		}
	}
}

// constant pushes a value that the pickle spells out.
func (u *unpickler) constant(op byte) bool {
	switch op {
	case opNone:
		u.push(nil)
	case opNewTrue:
		u.push(true)
	case opNewFalse:
		u.push(false)
	case opBinInt:
		u.push(int(int32(u.uint32())))
	case opBinInt1:
		u.push(int(u.byte()))
	case opBinInt2:
		u.push(int(u.uint16()))
	case opLong1:
		u.push(long(u.bytes(uint64(u.byte()))))
	case opBinFloat:
		if b := u.bytes(8); b != nil {
			u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
	case opShortBinUnicode, opShortBinString:
		u.push(string(u.bytes(uint64(u.byte()))))
	case opBinUnicode, opBinString:
		u.push(string(u.bytes(uint64(u.uint32()))))
	default:
		return false
	}
	return true
}

// long is a two's complement integer of any length.
func long(b []byte) any {
	if len(b) > 8 {
		return longInt(b)
	}
	v := 0
	for i, c := range b {
		v |= int(c) << (8 * i)
	}
	if n := len(b); n > 0 && n < 8 && b[n-1] >= 0x80 {
		v -= 1 << (8 * n)
	}
	return v
}

// collection makes or fills a tuple, list or dictionary.
func (u *unpickler) collection(op byte) bool {
	switch op {
	case opEmptyTuple:
		u.push(tuple{})
	case opTuple1, opTuple2, opTuple3:
		u.push(u.popTuple(int(op) - opTuple1 + 1))
	case opTuple:
		u.push(tuple(u.popMark()))
	case opEmptyList:
		u.push(&list{})
	case opEmptyDict:
		u.push(newDict())
	case opAppend:
		u.appendTo([]any{u.pop()})
	case opAppends:
		u.appendTo(u.popMark())
	case opSetItem:
		u.setIn(u.popTuple(2))
	case opSetItems:
		u.setIn(u.popMark())
	default:
		return false
	}
	return true
}

func newDict() *dict { return &dict{values: map[string]any{}} }

// appendTo adds to the list on top of the stack.
func (u *unpickler) appendTo(items []any) {
	top := u.pop()
	l, ok := top.(*list)
	if !ok {
		u.fail("its pickle appends to what is no list")
		return
	}
	l.items = append(l.items, items...)
	u.push(l)
}

// setIn sets keys and values, by turns, in the dictionary on top of the stack.
func (u *unpickler) setIn(items []any) {
	top := u.pop()
	d, ok := top.(*dict)
	if !ok || len(items)%2 != 0 {
		u.fail("its pickle sets a key of what is no dictionary")
		return
	}
	for i := 0; i < len(items); i += 2 {
		d.set(items[i], items[i+1])
	}
	u.push(d)
}

// build passes over the attributes of a dictionary: a state dict's _metadata.
func (u *unpickler) build() {
	u.pop()
	top := u.pop()
	if _, ok := top.(*dict); !ok {
		u.fail("its pickle sets attributes of what is no dictionary")
	}
	u.push(top)
}

// load gives the storage that a persistent ID names.
func (u *unpickler) load() {
	id, ok := u.pop().(tuple)
	if u.err != nil {
		return
	}
	if !ok || u.persistent == nil {
		u.fail("its pickle refers to a storage where there can be none")
		return
	}
	v, err := u.persistent(id)
	if err != nil {
		u.err = err
	}
	u.push(v)
}

// global pushes a known class or function.
func (u *unpickler) global(module, name string) {
	if u.err != nil {
		return
	}
	g := global(module + "." + name)
	if _, ok := storages[g]; !ok && functions[g] == nil {
		u.err = codes.Errorf("MF-PRETRAINED-OBJECT", "the file's pickle makes %.200q, which is no part of a state dict; save it again with torch.save(model.state_dict(), …)", string(g))
		return
	}
	u.push(g)
}

// call pushes what a function gives.
func (u *unpickler) call(f global, arguments tuple) {
	function := functions[f]
	if function == nil {
		u.fail("its pickle calls %s, which is no function", f)
		return
	}
	v, err := function(arguments)
	if err != nil {
		u.fail("%s: %v", f, err)
		return
	}
	u.push(v)
}
