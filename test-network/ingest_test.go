package testnetwork

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/medfed/medfed/chaincode/consortium"
	records "github.com/medfed/medfed/chaincode/record"
	"github.com/medfed/medfed/client/cmd/medfed/exit"
	"github.com/medfed/medfed/client/gateway"
	"github.com/medfed/medfed/client/ingest"
	"github.com/medfed/medfed/client/record"
	"github.com/medfed/medfed/test-network/scenario"
	"github.com/medfed/medfed/trainer/dataset"
	"github.com/medfed/medfed/trainer/model"
)

// inbox is a folder that a hospital's machines write into, and the ingest that
// watches it.
type inbox struct {
	*ward
	folder, state string
	officer       client
	files         map[string][]byte // content by SHA-256
}

// inbox fills a folder with what machines of a hospital write: Synthea's bundles,
// X-rays by their labels, a PDF and a monitor's series.
func (w *ward) inbox() *inbox {
	w.t.Helper()
	bundles, xrays := os.Getenv("MEDFED_FHIR"), os.Getenv("MEDFED_XRAY")
	if bundles == "" || xrays == "" {
		w.t.Skip("MEDFED_FHIR or MEDFED_XRAY names no folder of real files")
	}
	b := &inbox{ward: w, folder: w.t.TempDir(), state: w.t.TempDir(), officer: as(w.t, w.network, custodian+"/officer"), files: map[string][]byte{}}
	for label, n := range map[string]int{"covid": 6, "normal": 6} {
		b.copy(label, n, xrays, label, "train", "*.png")
	}
	b.copy("bundles", 2, bundles, "synthea-r4", "*.json")
	b.write("letters/discharge.pdf", letter("Discharge letter"))
	var series strings.Builder
	series.WriteString("time,heart rate,SpO2\n")
	for second := range 600 {
		fmt.Fprintf(&series, "%s,%d,%d\n", time.Unix(1_750_000_000+int64(second), 0).UTC().Format(time.RFC3339), 60+second%17, 95+second%4)
	}
	b.write("monitor/series.csv", []byte(series.String()))
	return b
}

// copy takes the first files of a folder that no pattern's copy has taken.
func (b *inbox) copy(to string, n int, from ...string) {
	b.t.Helper()
	names, err := filepath.Glob(filepath.Join(from...))
	b.must(err)
	if len(names) < n {
		b.t.Fatalf("%d files of %v, want %d", len(names), from, n)
	}
	for _, name := range names[:n] {
		content, err := os.ReadFile(name)
		b.must(err)
		b.write(to+"/"+filepath.Base(name), content)
	}
}

func (b *inbox) write(name string, content []byte) {
	b.t.Helper()
	path := filepath.Join(b.folder, filepath.FromSlash(name))
	b.must(os.MkdirAll(filepath.Dir(path), 0o700))
	b.must(os.WriteFile(path, content, 0o600))
	sum := sha256.Sum256(content)
	b.files[hex.EncodeToString(sum[:])] = content
}

// letter is a PDF of one page with a line of text.
func letter(text string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	var offsets []int
	page := fmt.Sprintf("BT /F1 24 Tf 72 720 Td (%s) Tj ET", text)
	for n, object := range []string{
		"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
		"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
		fmt.Sprintf("<< /Length %d >>\nstream\n%s\nendstream", len(page), page), "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
	} {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", n+1, object)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", offset)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, start)
	return b.Bytes()
}

// watchAndKill runs an ingest that watches the folder and kills it, without a word, once
// it has told of so many files.
func (b *inbox) watchAndKill(told int) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), b.officer.program, "ingest", "--folder", b.folder, "--state", b.state, "--settle", "100ms", "--format", "json")
	cmd.Env = b.officer.env
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	b.must(err)
	b.must(cmd.Start())
	lines := bufio.NewScanner(out)
	for n := 0; n < told && lines.Scan(); {
		switch {
		case strings.Contains(lines.Text(), `"result":"ingested"`):
			n++
		case !strings.Contains(lines.Text(), `"result":"waits"`): // a busy peer is asked again
			b.t.Errorf("ingest told %s", lines.Text())
		}
	}
	b.must(cmd.Process.Kill()) // SIGKILL
	if err := cmd.Wait(); err == nil {
		b.t.Fatalf("the watching ingest ended by itself: %s", complaint.String())
	}
}

// once ingests what is there and gives what was told; while a busy peer or node
// does not answer, again.
func (b *inbox) once() string {
	b.t.Helper()
	var told strings.Builder
	for {
		cmd := exec.CommandContext(b.t.Context(), b.officer.program, "ingest", "--folder", b.folder, "--state", b.state, "--settle", "1ms", "--once")
		cmd.Env = b.officer.env
		var complaint bytes.Buffer
		cmd.Stdout, cmd.Stderr = &told, &complaint
		err := cmd.Run()
		if err == nil {
			return told.String()
		}
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != exit.Unreachable {
			b.t.Fatalf("ingest: %v\n%s", err, complaint.String())
		}
	}
}

// pins are the files that a node of IPFS keeps.
func (w *ward) pins(at gateway.IPFS) map[string]bool {
	w.t.Helper()
	status, body, err := scenario.AskIPFS(w.t.Context(), at, "pin/ls?type=recursive")
	w.must(err)
	var list struct{ Keys map[string]any }
	w.must(json.Unmarshal(body, &list))
	if status != http.StatusOK {
		w.t.Fatalf("pin/ls: %d", status)
	}
	pins := map[string]bool{}
	for cid := range list.Keys {
		pins[cid] = true
	}
	return pins
}

// A hospital's folder is ingested while ingest is killed again and again: every
// file once and only once. What came becomes records of a patient, once and only
// once too, opened by another officer and by the patient; and a training set, on
// which a model is trained and measured.
func TestIngestOnTheRealNetwork(t *testing.T) {
	w := newWard(t)
	b := w.inbox()
	private := w.profile(custodian).Medfed.IPFS.Private
	before := w.pins(private)
	for _, told := range []int{1, 3, 2} {
		b.watchAndKill(told)
	}
	b.once()
	if second := b.once(); second != "" {
		t.Errorf("a second pass told %s", second)
	}
	w.settle()
	b.everyFileOnce(before)
	b.assignedOnce()
	b.trained()
}

func (b *inbox) entries() []ingest.Entry {
	b.t.Helper()
	j, err := ingest.OpenJournal(b.state)
	b.must(err)
	entries, err := j.Entries()
	b.must(err)
	return entries
}

// everyFileOnce checks journal, store and content.
func (b *inbox) everyFileOnce(before map[string]bool) {
	b.t.Helper()
	entries, records := b.entries(), map[string]bool{}
	open, err := b.ward.officer.HospitalKeys(b.t.Context())
	b.must(err)
	for _, e := range entries {
		records[e.Record] = true
		want, known := b.files[e.Digest]
		if !known {
			b.t.Errorf("%s is no file of the folder", e.Path)
			continue
		}
		key, err := open(e.Wrap)
		b.must(err)
		if got := b.ward.unseal(e.CID, key); got != string(want) {
			b.t.Errorf("%s came back as %d other bytes", e.Path, len(got))
		}
	}
	fresh := 0
	for cid := range b.pins(b.profile(custodian).Medfed.IPFS.Private) {
		if !before[cid] {
			fresh++
		}
	}
	if n := len(b.files); len(entries) != n || len(records) != n || fresh != n {
		b.t.Errorf("%d files became %d entries, %d records and %d objects", n, len(entries), len(records), fresh)
	}
}

// assignedOnce registers one entry of every type, killed on the way, and opens it.
func (b *inbox) assignedOnce() {
	t := b.t
	t.Helper()
	_, pseudonym, _ := strings.Cut(b.patient.id, "/")
	identifier := filepath.Join(t.TempDir(), "mrn")
	b.must(os.WriteFile(identifier, []byte("MRN-4711"), 0o600))
	colleague := b.party(custodian, "colleague", consortium.RoleCustodian)
	b.publish(colleague)
	b.officer.must(t, "record", "rewrap")
	b.settle()
	assigned := map[string]bool{}
	for _, e := range b.entries() {
		if assigned[e.ContentType] {
			continue
		}
		assigned[e.ContentType] = true
		args := []string{"ingest", "assign", e.Record, "--state", b.state, "--patient", pseudonym, "--patient-identifier-file", identifier,
			"--replica", b.network.Profile("researchcentre"), "--format", "json"}
		b.killOnce(filepath.Join(b.state, "assigned", e.Record+".json"), args...)
		var added [2]record.Added
		for n := range added {
			b.must(json.Unmarshal([]byte(b.officer.must(t, args...)), &added[n]))
		}
		b.settle()
		public, err := b.patient.Ledger.Records.Get(t.Context(), records.RecordRequest{Record: e.Record})
		b.must(err)
		if fmt.Sprint(added[0]) != fmt.Sprint(added[1]) || public.Versions != 1 || public.Patient != b.patient.id || public.Status != records.Active {
			t.Errorf("%s became %+v, %+v", e.Path, added, public)
		}
		if got := b.private(e.Record, 1); got.PatientIdentifier != "MRN-4711" || got.CID != e.CID {
			t.Errorf("%s: the collection holds %s of %s", e.Path, got.CID, got.PatientIdentifier)
		}
		if !b.pins(b.profile("researchcentre").Medfed.IPFS.Private)[e.CID] {
			t.Errorf("%s is pinned on one node only", e.Path)
		}
		for _, who := range []party{b.ward.officer, colleague, b.patient} {
			path := filepath.Join(t.TempDir(), "fetched")
			fetched, err := who.Get(t.Context(), e.Record, 1, path)
			b.must(err)
			if content, err := os.ReadFile(path); err != nil || !bytes.Equal(content, b.files[e.Digest]) || fetched.ContentType != e.ContentType {
				t.Errorf("%s fetched by %s: %d bytes, %v", e.Path, who.id, len(content), err)
			}
		}
	}
	if len(assigned) != 4 {
		t.Errorf("types %v", assigned)
	}
	stranger := b.party(custodian, record.NewPseudonym(), consortium.RolePatient)
	b.publish(stranger)
	_, other, _ := strings.Cut(stranger.id, "/")
	for _, e := range b.entries()[:1] {
		b.officer.refused(t, "MF-INGEST-ASSIGNED", "ingest", "assign", e.Record, "--state", b.state, "--patient", other,
			"--patient-identifier-file", identifier, "--replica", b.network.Profile("researchcentre"))
	}
}

// killOnce runs medfed and kills it, without a word, as soon as a file is there.
func (b *inbox) killOnce(file string, args ...string) {
	b.t.Helper()
	watcher, err := fsnotify.NewWatcher()
	b.must(err)
	defer watcher.Close()
	b.must(watcher.Add(filepath.Dir(file)))
	cmd := exec.CommandContext(b.t.Context(), b.officer.program, args...)
	cmd.Env = b.officer.env
	b.must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended: // faster than the news of the file
			b.must(err)
			return
		case event := <-watcher.Events:
			if event.Name == file {
				_ = cmd.Process.Kill() // SIGKILL; it may have ended since
				<-ended
				return
			}
		}
	}
}

// trained makes a set of what was ingested, and trains and measures a model on it.
func (b *inbox) trained() {
	t := b.t
	t.Helper()
	set := filepath.Join(t.TempDir(), "set")
	out := b.officer.must(t, "ingest", "images", "--state", b.state, "--out", set, "--format", "json")
	t.Logf("%s", out)
	files := 0
	b.must(filepath.WalkDir(set, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files++
		}
		return err
	}))
	loaded, err := dataset.LoadFolder(t.Context(), set, dataset.FolderOptions{Size: 28, Channels: 1})
	b.must(err)
	train := loaded.Data.Train
	if files != 12 || train.Len() != 12 || len(loaded.Data.Classes) != 2 {
		t.Fatalf("%d files, loaded %d of %d classes", files, train.Len(), len(loaded.Data.Classes))
	}
	spec := model.Spec{Name: model.HMChainCNN, Channels: 1, Size: 28, Classes: 2}
	start, err := model.Initial(spec, 1)
	b.must(err)
	weights, err := model.Train(t.Context(), spec, start, train, model.TrainOptions{Epochs: 120, BatchSize: 12, LearningRate: 0.01, Momentum: 0.9, Seed: 1})
	b.must(err)
	got, err := model.Evaluate(t.Context(), spec, weights, train)
	b.must(err)
	t.Logf("trained on %d ingested X-rays: accuracy %.3f on them", train.Len(), got.Accuracy)
	if got.Accuracy < 0.75 {
		t.Errorf("a model that has seen them 120 times tells %.3f of them", got.Accuracy)
	}
}
