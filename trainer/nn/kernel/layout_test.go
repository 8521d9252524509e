package kernel

import (
	"testing"
	"unsafe"
)

// TestLayout: the offsets of the fields are those that the assembly's generator
// has as constants.
func TestLayout(t *testing.T) {
	var a tile
	var s strip
	var p poolRow
	var q pooledRow
	var w winogradTile
	for name, c := range map[string][2]uintptr{
		"tile.a": {unsafe.Offsetof(a.a), 0}, "tile.b": {unsafe.Offsetof(a.b), 24}, "tile.c": {unsafe.Offsetof(a.c), 48},
		"tile.init": {unsafe.Offsetof(a.init), 72}, "tile.segments": {unsafe.Offsetof(a.segments), 96},
		"tile.aRow": {unsafe.Offsetof(a.aRow), 120}, "tile.aStep": {unsafe.Offsetof(a.aStep), 128}, "tile.bStep": {unsafe.Offsetof(a.bStep), 136},
		"tile.bPanel": {unsafe.Offsetof(a.bPanel), 144}, "tile.cRow": {unsafe.Offsetof(a.cRow), 152}, "tile.depth": {unsafe.Offsetof(a.depth), 160},
		"tile.extra": {unsafe.Offsetof(a.extra), 168}, "tile.relu": {unsafe.Offsetof(a.relu), 192},
		"segment.b": {unsafe.Offsetof(segment{}.b), 8}, "segment": {unsafe.Sizeof(segment{}), 16},
		"strip.x": {unsafe.Offsetof(s.x), 0}, "strip.dy": {unsafe.Offsetof(s.dy), 24}, "strip.out": {unsafe.Offsetof(s.out), 48},
		"strip.scale": {unsafe.Offsetof(s.scale), 72}, "strip.offset": {unsafe.Offsetof(s.offset), 96}, "strip.center": {unsafe.Offsetof(s.center), 120},
		"strip.first": {unsafe.Offsetof(s.first), 144}, "strip.second": {unsafe.Offsetof(s.second), 168}, "strip.third": {unsafe.Offsetof(s.third), 192},
		"strip.rows": {unsafe.Offsetof(s.rows), 216}, "strip.stride": {unsafe.Offsetof(s.stride), 224}, "strip.floor": {unsafe.Offsetof(s.floor), 232},
		"poolRow.top": {unsafe.Offsetof(p.top), 0}, "poolRow.bottom": {unsafe.Offsetof(p.bottom), 24}, "poolRow.out": {unsafe.Offsetof(p.out), 48},
		"poolRow.dOut": {unsafe.Offsetof(p.dOut), 72}, "poolRow.dTop": {unsafe.Offsetof(p.dTop), 96}, "poolRow.dBottom": {unsafe.Offsetof(p.dBottom), 120},
		"poolRow.pixels": {unsafe.Offsetof(p.pixels), 144}, "poolRow.stride": {unsafe.Offsetof(p.stride), 152},
		"pooledRow.top": {unsafe.Offsetof(q.top), 0}, "pooledRow.bottom": {unsafe.Offsetof(q.bottom), 24}, "pooledRow.out": {unsafe.Offsetof(q.out), 48},
		"pooledRow.dOut": {unsafe.Offsetof(q.dOut), 72}, "pooledRow.dTop": {unsafe.Offsetof(q.dTop), 96}, "pooledRow.dBottom": {unsafe.Offsetof(q.dBottom), 120},
		"pooledRow.scale": {unsafe.Offsetof(q.scale), 144}, "pooledRow.offset": {unsafe.Offsetof(q.offset), 168}, "pooledRow.center": {unsafe.Offsetof(q.center), 192},
		"pooledRow.first": {unsafe.Offsetof(q.first), 216}, "pooledRow.second": {unsafe.Offsetof(q.second), 240}, "pooledRow.third": {unsafe.Offsetof(q.third), 264},
		"pooledRow.pixels": {unsafe.Offsetof(q.pixels), 288}, "pooledRow.stride": {unsafe.Offsetof(q.stride), 296}, "pooledRow.floor": {unsafe.Offsetof(q.floor), 304},
		"winogradTile.in": {unsafe.Offsetof(w.in), 0}, "winogradTile.out": {unsafe.Offsetof(w.out), 24},
		"winogradTile.bias": {unsafe.Offsetof(w.bias), 48}, "winogradTile.between": {unsafe.Offsetof(w.between), 72},
		"winogradTile.row": {unsafe.Offsetof(w.row), 96}, "winogradTile.step": {unsafe.Offsetof(w.step), 104},
		"winogradTile.plane": {unsafe.Offsetof(w.plane), 112}, "winogradTile.parts": {unsafe.Offsetof(w.parts), 120},
		"winogradTile.floor": {unsafe.Offsetof(w.floor), 128}, "winogradTile.spoilt": {unsafe.Offsetof(w.spoilt), 132},
		"winogradTile.zero": {unsafe.Offsetof(w.zero), 196},
	} {
		if unsafe.Sizeof(uintptr(0)) == 8 && c[0] != c[1] {
			t.Errorf("%s is at %d, the assembly has %d", name, c[0], c[1])
		}
	}
}
