package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of kernel.pooledRow.
const (
	pooledTop, pooledBottom, pooledOut      = 0, 24, 48
	pooledDOut, pooledDTop, pooledDBottom   = 72, 96, 120
	pooledScale, pooledOffset, pooledCenter = 144, 168, 192
	pooledFirst, pooledSecond, pooledThird  = 216, 240, 264
	pooledPixels, pooledStride, pooledFloor = 288, 296, 304
)

// purpose is what a pooled kernel computes.
type purpose int

const (
	forward purpose = iota // the largest values
	sums                   // sums for the gradients
	inputs                 // gradients of the inputs
)

// pooled is a kernel on a row of 2×2 windows behind a batch normalisation: its
// addresses, and the values of its channels in registers or, where these are few,
// in memory.
type pooled struct {
	family
	x, d                   [4]Mem // a window's inputs and their gradients
	out, dOut              Mem
	scale, first, second   reg.VecPhysical
	offset, center, third  Op
	floor                  reg.VecPhysical
	normal, largest, spare reg.VecPhysical // see larger
}

// pooled writes a kernel that goes through the windows of a row, for one register of
// channels from the given one on. first and second are sums, or factors like third,
// or not in use.
func (f family) pooled(name string, of purpose, body func(p pooled)) {
	f.function(name, "r", "pooledRow", ", channel int", fmt.Sprintf("handles %d channels, see %sPlain.", f.lanes, name))
	channel, pixels, stride := reg.R12, reg.R11, reg.R8
	Load(Param("channel"), channel)
	address := func(offset int, to reg.GPPhysical) Mem {
		MOVQ(field(offset), to)
		LEAQ(Mem{Base: to, Index: channel, Scale: 4}, to)
		return Mem{Base: to}
	}
	value := func(offset int, to reg.VecPhysical) reg.VecPhysical {
		VMOVUPS(address(offset, reg.R10), to)
		return to
	}
	r := f.registers
	constant := func(offset int, to reg.VecPhysical, at reg.GPPhysical) Op {
		if f.lanes == 16 {
			return value(offset, to)
		}
		return address(offset, at)
	}
	p := pooled{family: f, scale: value(pooledScale, r[8]), first: r[9], second: r[10], floor: r[11], normal: r[4], largest: r[5], spare: r[6]}
	VBROADCASTSS(field(pooledFloor), p.floor)
	if of != forward {
		value(pooledFirst, r[9])
		value(pooledSecond, r[10])
	}
	var high [3]reg.VecPhysical
	if f.lanes == 16 {
		copy(high[:], r[16:])
	}
	p.offset, p.center = constant(pooledOffset, high[0], reg.R13), constant(pooledCenter, high[1], reg.R15)
	if of == inputs {
		p.third = constant(pooledThird, high[2], reg.R10)
	}
	moving := []struct {
		offset, times int
		at            reg.GPPhysical
	}{{pooledTop, 2, reg.RAX}, {pooledBottom, 2, reg.RBX}, {pooledOut, 1, reg.RCX}, {pooledDOut, 1, reg.RDX}, {pooledDTop, 2, reg.RSI}, {pooledDBottom, 2, reg.R9}}
	for _, m := range moving {
		address(m.offset, m.at)
	}
	p.x, p.d = window(reg.RAX, reg.RBX), window(reg.RSI, reg.R9)
	p.out, p.dOut = Mem{Base: reg.RCX}, Mem{Base: reg.RDX}
	MOVQ(field(pooledPixels), pixels)
	MOVQ(field(pooledStride), stride)
	SHLQ(Imm(float32Shift), stride)
	Label("pixel")
	body(p)
	for _, m := range moving {
		if m.times == 2 {
			LEAQ(Mem{Base: m.at, Index: stride, Scale: 2}, m.at)
			continue
		}
		ADDQ(stride, m.at)
	}
	DECQ(pixels)
	JNZ(LabelRef("pixel"))
	if of == sums {
		VMOVUPS(p.first, address(pooledFirst, reg.R10))
		VMOVUPS(p.second, address(pooledSecond, reg.R10))
	}
	f.end()
}

// normalised loads input i of the window less the center into centred, and its
// normalised value into to.
func (p pooled) normalised(i int, centred, to reg.VecPhysical) {
	VMOVUPS(p.x[i], centred)
	VSUBPS(p.center, centred, centred)
	VMOVAPS(centred, to)
	VFMADD213PS(p.offset, p.scale, to)
}

const (
	greater   = 14 // GT_OS
	unordered = 3  // UNORD_Q
)

// larger makes the normal value the largest one where it is larger, or NaN. Where it
// did is in K1, or all bits of mask.
func (p pooled) larger(mask reg.VecPhysical) {
	if p.lanes == 16 {
		VCMPPS(Imm(greater), p.largest, p.normal, reg.K1)
		VCMPPS(Imm(unordered), p.normal, p.normal, reg.K2)
		KORW(reg.K1, reg.K2, reg.K1)
		VMOVAPS(p.normal, reg.K1, p.largest)
		return
	}
	nan := p.spare
	VCMPPS(Imm(greater), p.largest, p.normal, mask)
	VCMPPS(Imm(unordered), p.normal, p.normal, nan)
	VORPS(nan, mask, mask)
	VBLENDVPS(mask, p.normal, p.largest, p.largest)
}

// passed loads into d the gradient where the largest value is above the floor, else
// zero.
func (p pooled) passed(d reg.VecPhysical) {
	if p.lanes == 16 {
		VCMPPS(Imm(greater), p.floor, p.largest, reg.K1)
		VMOVUPS_Z(p.dOut, reg.K1, d)
		return
	}
	VCMPPS(Imm(greater), p.floor, p.largest, d)
	VANDPS(p.dOut, d, d)
}

func (f family) pooledForward() {
	f.pooled("pooledForward", forward, func(p pooled) {
		p.normalised(0, f.registers[0], p.largest)
		for i := 1; i < 4; i++ {
			p.normalised(i, f.registers[0], p.normal)
			p.larger(f.registers[1])
		}
		VMAXPS(p.largest, p.floor, p.largest) // the largest if it is a NaN
		VMOVUPS(p.largest, p.out)
	})
}

func (f family) pooledSums() {
	f.pooled("pooledSums", sums, func(p pooled) {
		chosen, centred, mask, d := f.registers[7], f.registers[0], f.registers[1], f.registers[2]
		p.normalised(0, chosen, p.largest)
		for i := 1; i < 4; i++ {
			p.normalised(i, centred, p.normal)
			p.larger(mask)
			if f.lanes == 16 {
				VMOVAPS(centred, reg.K1, chosen)
				continue
			}
			VBLENDVPS(mask, centred, chosen, chosen)
		}
		p.passed(d)
		VADDPS(d, p.first, p.first)
		VFMADD231PS(chosen, d, p.second)
	})
}

func (f family) pooledInput() {
	f.pooled("pooledInput", inputs, func(p pooled) {
		if f.lanes == 16 {
			p.input512()
			return
		}
		p.input256()
	})
}

// input512 writes the gradients of a window's inputs.
func (p pooled) input512() {
	centred := p.registers[:4]
	taken := []reg.OpmaskPhysical{reg.K0, reg.K3, reg.K4, reg.K5} // K0 stands for none
	p.normalised(0, centred[0], p.largest)
	for i := 1; i < 4; i++ {
		p.normalised(i, centred[i], p.normal)
		p.larger(nil)
		KMOVW(reg.K1, taken[i])
	}
	d, part := p.registers[19], p.registers[20]
	p.passed(d)
	// Of those that were taken the last one stays.
	KANDNW(taken[2], taken[3], reg.K2)
	KORW(taken[2], taken[3], reg.K6)
	KANDNW(taken[1], reg.K6, reg.K1)
	KORW(taken[1], reg.K6, reg.K6)
	KNOTW(reg.K6, reg.K6)
	for i, k := range []reg.OpmaskPhysical{reg.K6, reg.K1, reg.K2, taken[3]} {
		VMOVAPS_Z(d, k, part)
		p.store(i, centred[i], part)
	}
}

// input256 does the same with masks in registers.
func (p pooled) input256() {
	r := p.registers
	centred, taken := r[:4], []reg.VecPhysical{nil, r[12], r[13], r[14]}
	p.normalised(0, centred[0], p.largest)
	for i := 1; i < 4; i++ {
		p.normalised(i, centred[i], p.normal)
		p.larger(taken[i])
	}
	d, part, later := r[7], r[15], p.spare
	p.passed(d)
	VANDPS(d, taken[3], part)
	p.store(3, centred[3], part)
	VMOVAPS(taken[3], later)
	for i := 2; i >= 1; i-- {
		VANDPS(d, taken[i], part)
		VANDNPS(part, later, part)
		p.store(i, centred[i], part)
		VORPS(taken[i], later, later)
	}
	VANDNPS(d, later, part)
	p.store(0, centred[0], part)
}

// store writes the gradient of input i from the part of d that is its own.
func (p pooled) store(i int, centred, part reg.VecPhysical) {
	VFMADD213PS(p.third, p.second, centred)
	VFMADD231PS(p.first, part, centred)
	VMOVUPS(centred, p.d[i])
}
