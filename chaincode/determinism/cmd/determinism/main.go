// Command determinism runs the determinism pass over contract code:
//
//	go run ./chaincode/determinism/cmd/determinism ./chaincode/contract ./chaincode/fl
package main

import (
	"github.com/medfed/medfed/chaincode/determinism"
	"golang.org/x/tools/go/analysis/singlechecker"
)

func main() { singlechecker.Main(determinism.Analyzer) }
