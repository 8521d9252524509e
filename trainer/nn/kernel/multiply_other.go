//go:build !amd64 && !arm64

package kernel

var available = []Level{Plain}

func multiply(t *tile, rows, panels int) { multiplyPlain(t, rows, panels) }
