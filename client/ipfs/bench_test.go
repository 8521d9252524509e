package ipfs_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/kubo/client/rpc"
	"github.com/ipfs/kubo/client/rpc/auth"
	"github.com/ipfs/kubo/core/coreiface/options"
	"github.com/medfed/medfed/client/envelope"
	"github.com/medfed/medfed/client/ipfs"
)

// Benchmark256MB compares an encrypted add and get through medfed with a plain
// add and get of as many bytes by Kubo's own RPC client (client/rpc), through the
// same node. The four take turns, so that a machine's other work slows all of them,
// and each call is a process of its own. Reported are the medians in seconds, their
// ratios, the processor time that the calling process and the node spent on a
// call, and the greatest peak memory of the processes that were medfed's client.
//
//	MEDFED_BIN=<folder with ipfs> go test -run '^$' -bench 256MB -benchtime 5x ./client/ipfs
func Benchmark256MB(b *testing.B) { compare(b, 256<<20) }

// Benchmark1GB is [Benchmark256MB] with four times as much: the peak memory is the
// same.
func Benchmark1GB(b *testing.B) { compare(b, 1<<30) }

func compare(b *testing.B, size int64) {
	node := newKubo(b, swarmKey(b))
	node.start(b)
	folder := b.TempDir()
	content := filepath.Join(folder, "content")
	writeRandom(b, content, size)
	key := filepath.Join(folder, "age.key")
	if _, err := envelope.LoadOrCreateIdentity(key); err != nil {
		b.Fatal(err)
	}
	job := job{Size: size, URL: "http://" + node.api, Token: tokenFile(b, token), Content: content, Key: key}
	var all measured
	call := func(do, id string) string {
		job.Do, job.CID = do, id
		before := processorTime(b, node.process.Process.Pid)
		done := job.run(b)
		done.NodeCPU = processorTime(b, node.process.Process.Pid) - before
		all = append(all, done)
		return done.CID
	}
	for b.Loop() {
		theirs, ours := call("kubo-add", ""), call("medfed-add", "")
		call("kubo-get", theirs)
		call("medfed-get", ours)
	}
	for _, do := range []string{"add", "get"} {
		theirs, ours := all.of("kubo-"+do), all.of("medfed-"+do)
		for _, m := range []measured{theirs, ours} {
			name := m[0].Do
			b.ReportMetric(m.median(seconds), name+"-s")
			b.ReportMetric(m.median(cpu), name+"-cpu-s")
			b.ReportMetric(m.median(nodeCPU), name+"-node-cpu-s")
		}
		b.ReportMetric(ours.median(seconds)/theirs.median(seconds), do+"-ratio")
	}
	b.ReportMetric(max(all.of("medfed-add").peak(), all.of("medfed-get").peak()), "peak-MB")
	b.ReportMetric(0, "ns/op")
	b.Logf("load average %s, %d processors", loadAverage(), runtime.NumCPU())
	for _, done := range all {
		b.Logf("%+v", done)
	}
}

type measured []done

func (m measured) of(do string) measured {
	return slices.DeleteFunc(slices.Clone(m), func(d done) bool { return d.Do != do })
}

func (m measured) median(of func(done) float64) float64 {
	var v []float64
	for _, d := range m {
		v = append(v, of(d))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (m measured) peak() (highest float64) {
	for _, d := range m {
		highest = max(highest, d.PeakMB)
	}
	return highest
}

func seconds(d done) float64 { return d.Seconds }
func cpu(d done) float64     { return d.CPU }
func nodeCPU(d done) float64 { return d.NodeCPU }

// processorTime is how many seconds of a processor a process has had, as Linux
// counts them, in hundredths; 0 elsewhere.
func processorTime(t testing.TB, pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after) // from the third of proc_pid_stat(5)
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		t.Fatal(err)
	}
	return float64(user+system) / 100
}

// loadAverage is the machine's, over one, five and fifteen minutes, as Linux tells
// it.
func loadAverage() string {
	said, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(said))[:3], " ")
}

func writeRandom(b *testing.B, path string, size int64) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, mathrand.NewChaCha8([32]byte{1}), size); err != nil {
		b.Fatal(err)
	}
}

// job is one timed call, done by this test's binary as a process of its own.
type job struct {
	Do, CID, URL, Token, Content, Key string
	Size                              int64 // of the content in bytes
}

// done is what a call gave and took.
type done struct {
	Do, CID string
	Seconds float64 // on the clock
	CPU     float64 // seconds of a processor, of the calling process
	NodeCPU float64 // seconds of a processor, of the node
	PeakMB  float64 // of the calling process
}

const jobVariable = "MEDFED_TEST_JOB"

func (j job) run(b *testing.B) done {
	b.Helper()
	encoded, err := json.Marshal(j)
	if err != nil {
		b.Fatal(err)
	}
	c := exec.Command(os.Args[0], "-test.run", "^TestJob$")
	c.Env = append(os.Environ(), jobVariable+"="+string(encoded))
	out, err := c.CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v\n%s", j.Do, err, out)
	}
	var d done
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&d); err != nil {
		b.Fatalf("%s: %v\n%s", j.Do, err, out)
	}
	return d
}

// TestJob is the process that a benchmark starts for each call.
func TestJob(t *testing.T) {
	var j job
	if json.Unmarshal([]byte(os.Getenv(jobVariable)), &j) != nil {
		t.Skip("only benchmarks run it")
	}
	calls := map[string]func(testing.TB) (string, error){
		"medfed-add": j.medfedAdd, "medfed-get": j.medfedGet, "kubo-add": j.kuboAdd, "kubo-get": j.kuboGet,
	}
	start, spent := time.Now(), processorTime(t, os.Getpid())
	id, err := calls[j.Do](t)
	if err != nil {
		t.Fatal(err)
	}
	d := done{Do: j.Do, CID: id, Seconds: time.Since(start).Seconds(), CPU: processorTime(t, os.Getpid()) - spent, PeakMB: peakMB(t)}
	if err := json.NewEncoder(os.Stdout).Encode(d); err != nil {
		t.Fatal(err)
	}
}

// peakMB is this process's peak resident memory, as Linux counts it; 0 elsewhere.
func peakMB(t testing.TB) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return float64(kb) / 1024
}

func (j job) client(t testing.TB) (*ipfs.Client, *envelope.Identity) {
	t.Helper()
	client, err := ipfs.Open(ipfs.Config{URL: j.URL, TokenFile: j.Token})
	if err != nil {
		t.Fatal(err)
	}
	key, err := envelope.LoadIdentity(j.Key)
	if err != nil {
		t.Fatal(err)
	}
	return client, key
}

func (j job) medfedAdd(t testing.TB) (string, error) {
	client, key := j.client(t)
	f, err := os.Open(j.Content)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sealed, err := envelope.SealReader(f, key.Recipient())
	if err != nil {
		return "", err
	}
	defer sealed.Close()
	return client.Add(t.Context(), sealed)
}

func (j job) medfedGet(t testing.TB) (string, error) {
	client, key := j.client(t)
	sealed, err := client.Get(t.Context(), j.CID)
	if err != nil {
		return "", err
	}
	defer sealed.Close()
	plain, err := envelope.Open(sealed, key)
	if err != nil {
		return "", err
	}
	return "", j.discard(plain)
}

func (j job) discard(r io.Reader) error {
	if n, err := io.Copy(io.Discard, r); err != nil || n != j.Size {
		return fmt.Errorf("%d bytes: %w", n, err)
	}
	return nil
}

// kubo is Kubo's own RPC client, with its own transport and the token.
func (j job) kubo() (*rpc.HttpApi, error) {
	carrier := auth.NewAuthorizedRoundTripper("Bearer "+token, http.DefaultTransport)
	return rpc.NewURLApiWithClient(j.URL, &http.Client{Transport: carrier})
}

// kuboAdd puts a random number of random bytes before the content, so that every
// chunk is new to the node, as every chunk of a ciphertext is.
func (j job) kuboAdd(t testing.TB) (string, error) {
	api, err := j.kubo()
	if err != nil {
		return "", err
	}
	f, err := os.Open(j.Content)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fresh := 1 + mathrand.Int64N(1<<20)
	content := io.MultiReader(io.LimitReader(rand.Reader, fresh), io.LimitReader(f, j.Size-fresh))
	added, err := api.Unixfs().Add(t.Context(), files.NewReaderFile(content),
		options.Unixfs.CidVersion(1), options.Unixfs.RawLeaves(true), options.Unixfs.Chunker("size-1048576"), options.Unixfs.Pin(true, ""))
	if err != nil {
		return "", err
	}
	return added.RootCid().String(), nil
}

func (j job) kuboGet(t testing.TB) (string, error) {
	api, err := j.kubo()
	if err != nil {
		return "", err
	}
	id, err := cid.Decode(j.CID)
	if err != nil {
		return "", err
	}
	node, err := api.Unixfs().Get(t.Context(), path.FromCid(id))
	if err != nil {
		return "", err
	}
	defer node.Close()
	return "", j.discard(files.ToFile(node))
}
