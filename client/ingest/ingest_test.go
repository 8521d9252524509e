package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/medfed/medfed/chaincode/codes"
	"github.com/medfed/medfed/chaincode/form"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/ipfs"
	"github.com/medfed/medfed/client/keystore"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/trainer/dataset"
)

// hospital is a store and a collection in memory that outlive an Ingester.
type hospital struct {
	mu      sync.Mutex
	objects map[string][]byte
	staged  map[string]record.PrivateVersion // as the hospital opens it
	sealed  map[string]records.SealedVersion
	writes  map[string]int // distinct contents ever staged for a record
	away    error          // what the ledger answers, nil for normal
	foreign bool           // the store cuts files into other blocks than the network's nodes do

	key    *envelope.Identity // the hospital's
	keys   *keystore.Store
	pins   map[string]bool
	public map[string]records.RegisterRequest // registered, by record
	erased map[string]bool
	refuse error // what the ledger answers a registration, nil for normal
}

func newHospital(folder string) *hospital {
	key, err := envelope.NewIdentity()
	if err != nil {
		panic(err)
	}
	return &hospital{
		objects: map[string][]byte{}, staged: map[string]record.PrivateVersion{}, sealed: map[string]records.SealedVersion{}, writes: map[string]int{},
		key: key, keys: keystore.Open(folder), pins: map[string]bool{}, public: map[string]records.RegisterRequest{}, erased: map[string]bool{},
	}
}

// open opens what is wrapped for the hospital.
func (h *hospital) open(wrap string) (*envelope.Identity, error) { return envelope.Unwrap(wrap, h.key) }

func (h *hospital) recipient(context.Context) (string, error) { return h.key.Recipient(), nil }

func (h *hospital) Add(_ context.Context, r io.Reader) (string, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	if h.foreign {
		return ipfs.ComputeCID(bytes.NewReader(append(text, 0)))
	}
	cid, err := ipfs.ComputeCID(bytes.NewReader(text))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.objects[cid] = text
	return cid, err
}

func (h *hospital) AddNamed(ctx context.Context, _ string, r io.Reader) (string, error) {
	return h.Add(ctx, r)
}

func (h *hospital) PinNamed(ctx context.Context, _, cid string) error { return h.Pin(ctx, cid) }

func (h *hospital) Named(context.Context, string) (map[string]string, error) { return nil, nil }

func (h *hospital) Get(_ context.Context, cid string) (io.ReadCloser, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return io.NopCloser(bytes.NewReader(h.objects[cid])), nil
}

func (h *hospital) Stage(_ context.Context, custodian string, sealed records.SealedVersion) (records.Staged, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away != nil {
		return records.Staged{}, h.away
	}
	v, err := h.opened(sealed)
	if err != nil {
		return records.Staged{}, err
	}
	if h.staged[v.Record] != v {
		h.writes[v.Record]++
	}
	h.staged[v.Record], h.sealed[v.Record] = v, sealed
	return records.Staged{Record: v.Record, Version: v.Version, Digest: form.Digest(sealed)}, nil
}

// opened is a sealed version as the hospital's officers see it.
func (h *hospital) opened(sealed records.SealedVersion) (record.PrivateVersion, error) {
	if err := records.CheckStaged(sealed, records.VersionRequest{Record: sealed.Record, Version: sealed.Version}); err != nil {
		return record.PrivateVersion{}, err
	}
	key, err := h.keys.Key(sealed.Record, sealed.Version, h.open)
	if err != nil {
		return record.PrivateVersion{}, err
	}
	return envelope.OpenDocument[record.PrivateVersion](sealed.Sealed, key)
}

// Seal is the hospital's officer's.
func (h *hospital) Seal(v record.PrivateVersion, hospital, patient string) (records.SealedVersion, error) {
	return (&record.Client{Keys: h.keys}).Seal(v, hospital, patient)
}

// ward is a hospital with a watched folder and a journal.
type ward struct {
	*testing.T
	*hospital
	folder, state string
	key           *envelope.Identity
	results       []Result
}

func newWard(t *testing.T) *ward {
	key, err := envelope.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return &ward{T: t, hospital: newHospital(t.TempDir()), folder: t.TempDir(), state: t.TempDir(), key: key}
}

func (w *ward) write(name string, content []byte) {
	w.Helper()
	path := filepath.Join(w.folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *ward) open() *Ingester {
	w.Helper()
	i, err := Open(Options{
		Folder: w.folder, State: w.state, Custodian: "Hospital1MSP", Key: w.key, Store: w.hospital, Ledger: w.hospital, Sealer: w.hospital,
		Recipient: w.recipient, Settle: time.Millisecond, Report: func(r Result) { w.results = append(w.results, r) },
	})
	if err != nil {
		w.Fatal(err)
	}
	return i
}

// once opens the ward's ingester, ingests what is there and closes it again.
func (w *ward) once() error {
	w.Helper()
	i := w.open()
	return errors.Join(i.Once(context.Background()), i.Close())
}

// holdsOnce checks that store and collection have each of n contents once, and
// that nothing is left in the spool.
func (w *ward) holdsOnce(n int) {
	w.Helper()
	if len(w.objects) != n || len(w.staged) != n {
		w.Errorf("%d objects and %d entries, want %d", len(w.objects), len(w.staged), n)
	}
	for record, v := range w.staged {
		if w.writes[record] != 1 {
			w.Errorf("%s was staged with %d contents", record, w.writes[record])
		}
		if w.objects[v.CID] == nil {
			w.Errorf("%s names an object that is not stored", record)
		}
	}
	left, err := os.ReadDir(filepath.Join(w.state, spoolFolder))
	if err != nil || len(left) != 0 {
		w.Errorf("%d files are left in the spool: %v", len(left), err)
	}
}

func (w *ward) entries() []Entry {
	w.Helper()
	j, err := OpenJournal(w.state)
	if err != nil {
		w.Fatal(err)
	}
	entries, err := j.Entries()
	if err != nil {
		w.Fatal(err)
	}
	return entries
}

func picture(seed int) []byte {
	m := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range m.Pix {
		m.Pix[i] = byte(seed * i)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

const series = "time,heart rate\n2026-01-01T00:00:00Z,61\n2026-01-01T00:00:01Z,62\n"

func TestEveryKindIsIngestedOnce(t *testing.T) {
	w := newWard(t)
	w.write("NORMAL/a.bin", picture(1))
	w.write("NORMAL/copy.bin", picture(1))
	w.write("bundle", []byte(`{"entry":[{"resource":{"resourceType":"Patient"}}],"resourceType":"Bundle"}`))
	w.write("letter", []byte("%PDF-1.7\n...\n%%EOF\n"))
	w.write("monitor/series", []byte(series))
	w.write("note", []byte("just words"))
	w.write("half.tmp", picture(2))
	w.write(".hidden", picture(3))
	for range 2 {
		if err := w.once(); err != nil {
			t.Fatal(err)
		}
	}
	w.holdsOnce(4)
	types, refused, duplicates := map[string]bool{}, 0, 0
	for _, r := range w.results {
		switch {
		case r.Err != nil:
			refused++
			if r.Path != "note" || codes.Of(r.Err) != "MF-INGEST-TYPE" {
				t.Errorf("%s: %v", r.Path, r.Err)
			}
		case r.Duplicate:
			duplicates++
		default:
			types[r.Entry.ContentType] = true
		}
	}
	if len(types) != 4 || refused != 2 || duplicates == 0 {
		t.Errorf("types %v, %d refusals, %d duplicates", types, refused, duplicates)
	}
	for _, v := range w.staged {
		plain, err := w.hospital.open(v.CustodianWrap)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := envelope.Open(bytes.NewReader(w.objects[v.CID]), plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, opened); err != nil {
			t.Error(err)
		}
	}
}

var errKilled = errors.New("killed")

// TestAKillBetweenAnyTwoStepsIsHealedByTheNextStart ends a run at every step of
// the first file and of the second, and starts again.
func TestAKillBetweenAnyTwoStepsIsHealedByTheNextStart(t *testing.T) {
	const steps = 6
	for kill := 1; kill <= 2*steps; kill++ {
		t.Run(fmt.Sprint(kill), func(t *testing.T) {
			w := newWard(t)
			w.write("a/1.png", picture(1))
			w.write("b/2.png", picture(2))
			i, count, at := w.open(), 0, ""
			i.step = func(name string) error {
				if count++; count == kill {
					at = name
				}
				if count >= kill {
					return errKilled
				}
				return nil
			}
			if err := i.Once(context.Background()); !errors.Is(err, errKilled) {
				t.Fatalf("not killed: %v", err)
			}
			if err := i.Close(); err != nil {
				t.Fatal(err)
			}
			if err := w.once(); err != nil {
				t.Fatalf("after a kill before %s: %v", at, err)
			}
			w.holdsOnce(2)
		})
	}
}

func TestWhatTheLedgerMissedIsStagedWhenItIsBack(t *testing.T) {
	w := newWard(t)
	w.write("1.png", picture(1))
	w.write("2.png", picture(2))
	w.away = codes.Errorf("MF-GATEWAY-UNAVAILABLE", "no peer answers; try again")
	if err := w.once(); err == nil || codes.Of(err) != "MF-GATEWAY-UNAVAILABLE" {
		t.Fatalf("the ledger is away and ingest says %v", err)
	}
	if len(w.objects) != 1 {
		t.Errorf("%d files were stored while the ledger was away", len(w.objects))
	}
	w.away = nil
	if err := w.once(); err != nil {
		t.Fatal(err)
	}
	w.holdsOnce(2)
}

// A node with other settings keeps a file under another CID: it is told, nothing is
// staged, and the next start goes on from what was sealed when they are right.
func TestAStoreWithOtherSettingsIsTold(t *testing.T) {
	w := newWard(t)
	w.write("1.png", picture(1))
	w.foreign = true
	if err := w.once(); codes.Of(err) != "MF-INGEST-DIGEST" || len(w.staged) != 0 {
		t.Fatalf("%v, %d staged", err, len(w.staged))
	}
	w.foreign = false
	if err := w.once(); err != nil {
		t.Fatal(err)
	}
	w.holdsOnce(1)
}

func TestAFileIsTakenWhenItIsFinished(t *testing.T) {
	w := newWard(t)
	i := w.open()
	defer i.Close()
	now := time.Now()
	i.now, i.options.Settle = func() time.Time { return now }, time.Minute
	look := func(round int) int {
		pending, err := i.scan(context.Background(), round, func(string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return pending
	}
	whole := picture(1)
	w.write("growing.png", whole[:20])
	if look(1) != 1 || len(w.objects) != 0 {
		t.Error("a new file was taken at once")
	}
	now = now.Add(time.Minute)
	w.write("growing.png", whole)
	later := now.Add(-time.Second)
	if err := os.Chtimes(filepath.Join(w.folder, "growing.png"), later, later); err != nil {
		t.Fatal(err)
	}
	if look(2) != 1 || len(w.objects) != 0 {
		t.Error("a file that changed was taken")
	}
	now = now.Add(time.Minute)
	if look(3) != 0 || len(w.objects) != 1 {
		t.Error("a finished file was not taken")
	}
	old := now.Add(-time.Hour)
	w.write(".incoming", picture(2))
	if err := errors.Join(os.Chtimes(filepath.Join(w.folder, ".incoming"), old, old),
		os.Rename(filepath.Join(w.folder, ".incoming"), filepath.Join(w.folder, "moved.png"))); err != nil {
		t.Fatal(err)
	}
	if look(4) != 0 || len(w.objects) != 2 {
		t.Error("a file that was renamed into place was not taken at once")
	}
}

// TestRunSeesWhatComes waits for the report of a file that is written into a new
// folder while the folder is watched.
func TestRunSeesWhatComes(t *testing.T) {
	w := newWard(t)
	i := w.open()
	defer i.Close()
	came := make(chan Result, 1)
	i.options.Report = func(r Result) { came <- r }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- i.Run(ctx) }()
	w.write("new/x.png", picture(1))
	select {
	case r := <-came:
		if r.Err != nil || r.Entry.Label != "new" {
			t.Errorf("it became %+v", r)
		}
	case <-time.After(5 * time.Minute):
		t.Error("nothing came")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("run ended with %v", err)
	}
}

func TestATrainingSetIsMadeOfWhatWasIngested(t *testing.T) {
	w := newWard(t)
	for n := range 3 {
		w.write(fmt.Sprintf("NORMAL/%d.png", n), picture(n+1))
		w.write(fmt.Sprintf("PNEUMONIA/%d.png", n), picture(n+11))
	}
	w.write("NORMAL/series", []byte(series))
	i := w.open()
	defer i.Close()
	if err := i.Once(context.Background()); err != nil {
		t.Fatal(err)
	}
	entries := w.entries()
	folder, labels := t.TempDir(), Labels(entries)
	if !slices.Equal(labels, []string{"NORMAL", "PNEUMONIA"}) {
		t.Fatalf("labels %v", labels)
	}
	for _, label := range labels {
		if n, err := WriteImages(context.Background(), w.hospital, w.hospital.open, entries, label, folder); n != 3 || err != nil {
			t.Fatalf("%d images of %s: %v", n, label, err)
		}
	}
	loaded, err := dataset.LoadFolder(context.Background(), folder, dataset.FolderOptions{Size: 8, Channels: 1})
	if err != nil || loaded.Data.Train.Len() != 6 || len(loaded.Data.Classes) != 2 {
		t.Fatalf("loaded %+v: %v", loaded, err)
	}
	for cid := range w.objects {
		w.objects[cid] = w.objects[cid][:len(w.objects[cid])-1]
	}
	if _, err := WriteImages(context.Background(), w.hospital, w.hospital.open, entries, "NORMAL", t.TempDir()); err == nil {
		t.Error("cut objects were taken")
	}
	if _, err := WriteImages(context.Background(), w.hospital, w.hospital.open, entries, "../x", folder); err == nil || codes.Of(err) != "MF-INGEST-OUTPUT" {
		t.Errorf("label ../x: %v", err)
	}
}

func TestAnUnfinishedOrForeignFileIsRefused(t *testing.T) {
	whole := picture(1)
	for name, content := range map[string][]byte{
		"a cut image": whole[:len(whole)-4], "a cut bundle": []byte(`{"resourceType":"Bundle"`), "another resource": []byte(`{"resourceType":"Patient","x":"Bundle"}`),
		"two objects": []byte(`{"resourceType":"Bundle"}{}`), "a cut PDF": []byte("%PDF-1.7\n"), "uneven rows": []byte("a,b\n1,2\n3\n"),
		"a header alone": []byte("a,b\n"), "nothing": {}, "bytes": {0, 1, 2}, "a nested type": []byte(`{"a":{"resourceType":"Bundle"}}`),
		"a long line": bytes.Repeat([]byte("a,"), maxLine),
	} {
		if got, err := Detect(bytes.NewReader(content), int64(len(content))); err == nil || codes.Of(err) != "MF-INGEST-TYPE" {
			t.Errorf("%s is %s: %v", name, got, err)
		}
	}
}

// TestRealBundlesAreTold looks at the Synthea bundles, and at single resources,
// which are no bundles.
func TestRealBundlesAreTold(t *testing.T) {
	folder := os.Getenv("MEDFED_FHIR")
	if folder == "" {
		t.Skip("MEDFED_FHIR names no folder with synthea-r4 and hl7-r4-examples")
	}
	for pattern, want := range map[string]string{"synthea-r4/*.json": TypeFHIR, "hl7-r4-examples/*.json": ""} {
		files, err := filepath.Glob(filepath.Join(folder, filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, name := range files {
			file, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Detect(file, info.Size()); got != want || (err == nil) != (want != "") {
				t.Errorf("%s is %q: %v", filepath.Base(name), got, err)
			}
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestOpenRefusesASharedOrNestedJournal(t *testing.T) {
	w := newWard(t)
	i := w.open()
	defer i.Close()
	for state, code := range map[string]string{w.state: "MF-INGEST-RUNNING", filepath.Join(w.folder, "journal"): "MF-INGEST-JOURNAL"} {
		if _, err := Open(Options{Folder: w.folder, State: state, Key: w.key}); err == nil || !strings.HasPrefix(err.Error(), code+": ") {
			t.Errorf("state %s: %v", state, err)
		}
	}
	if _, err := Open(Options{Folder: filepath.Join(w.folder, "none"), State: t.TempDir()}); err == nil || codes.Of(err) != "MF-INGEST-FOLDER" {
		t.Errorf("no folder: %v", err)
	}
}
