package audit

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// recordedSource is a source that holds the recorded blocks.
type recordedSource struct {
	blocks [][]byte
	broken int // block that can't be read, 0 for none
}

func recordedLedger(t *testing.T) *recordedSource {
	l := &recordedSource{}
	for _, block := range recordedBlocks(t) {
		l.blocks = append(l.blocks, encoded(t, block))
	}
	return l
}

var errGone = errors.New("the peer is gone")

func (l *recordedSource) Channel() string                        { return "medfed" }
func (l *recordedSource) Height(context.Context) (uint64, error) { return uint64(len(l.blocks)), nil }
func (l *recordedSource) Block(_ context.Context, number uint64) ([]byte, error) {
	if l.broken > 0 && number == uint64(l.broken) {
		return nil, errGone
	}
	return l.blocks[number], nil
}

// steps notes the progress that is told.
type steps []int

func (s *steps) Step(_ string, done, total int) { *s = append(*s, done, total) }

func TestWhatIsExportedVerifies(t *testing.T) {
	l, file := recordedLedger(t), filepath.Join(t.TempDir(), "ledger.audit")
	told := steps{}
	done, err := Export(context.Background(), l, "AuditorMSP/auditor", file, &told)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	n := len(l.blocks)
	if done.File != file || done.Bytes != info.Size() || done.Blocks != uint64(n) || done.Genesis != recordedGenesis(t) {
		t.Errorf("exported %+v", done)
	}
	if len(told) != 2*n || !slices.Equal(told[2*n-2:], steps{n, n}) {
		t.Errorf("told %v", told)
	}
	told = steps{}
	if _, err := VerifyFile(context.Background(), file, Options{Genesis: done.Genesis, Head: done.Head, Progress: &told}); err != nil {
		t.Error(err)
	}
	if len(told) != 2*n || !slices.Equal(told[2*n-2:], steps{n, n}) {
		t.Errorf("told %v", told)
	}
	_, err = Export(context.Background(), l, "AuditorMSP/auditor", file, &told)
	refused(t, err, "MF-WRITE-EXISTS", file)
}

func TestAnExportThatFailsLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	l := recordedLedger(t)
	l.broken = 5
	if _, err := Export(context.Background(), l, "AuditorMSP/auditor", filepath.Join(folder, "ledger.audit"), new(steps)); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
	l.broken, l.blocks[5] = 0, []byte("no block")
	_, err := Export(context.Background(), l, "AuditorMSP/auditor", filepath.Join(folder, "ledger.audit"), new(steps))
	refused(t, err, "MF-AUDIT-BLOCK", "block 5")
	_, err = Export(context.Background(), new(recordedSource), "AuditorMSP/auditor", filepath.Join(folder, "ledger.audit"), new(steps))
	refused(t, err, "MF-AUDIT-BLOCK", "medfed")
	_, err = Export(context.Background(), l, "AuditorMSP/auditor", filepath.Join(folder, "none", "ledger.audit"), new(steps))
	refused(t, err, "MF-AUDIT-WRITE", "none")
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestAVerificationCanBeStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := VerifyFile(ctx, recorded, Options{Genesis: recordedGenesis(t)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
